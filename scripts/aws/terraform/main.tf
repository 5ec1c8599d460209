# A DynamoDB that only a VPC endpoint reaches, and a bastion for ddbproxy, or
# several behind a load balancer: gateway endpoint, bastions, security groups and
# IAM policies. ../ddbproxy.yaml makes the same; ../README.md tells how to use both.

terraform {
  required_version = ">= 1.9" # validations that look at other variables
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

data "aws_availability_zones" "available" {
  state = "available"
}

data "aws_ec2_managed_prefix_list" "dynamodb" {
  name = "com.amazonaws.${local.region}.dynamodb"
}

data "aws_ssm_parameter" "ami" {
  name = var.ami
}

locals {
  new_vpc         = var.vpc_id == ""
  linked          = var.private_link != "none"
  region          = data.aws_region.current.name
  account         = data.aws_caller_identity.current.account_id
  partition       = data.aws_partition.current.partition
  vpc_id          = local.new_vpc ? aws_vpc.vpc[0].id : var.vpc_id
  subnet_ids      = local.new_vpc ? aws_subnet.subnet[*].id : var.subnet_ids
  route_table_ids = local.new_vpc ? [aws_route_table.route_table[0].id] : var.route_table_ids
  locked          = var.relay_url != ""
  fleet           = var.bastions > 1
  endpoint_ids    = concat([aws_vpc_endpoint.gateway.id], aws_vpc_endpoint.private_link[*].id)

  # The account's own callers only: other accounts' keys would be a way out of it.
  endpoint_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "DynamoDB"
      Effect    = "Allow"
      Principal = "*"
      Action    = "dynamodb:*"
      Resource  = "*"
      Condition = { StringEquals = { "aws:PrincipalAccount" = local.account } }
    }]
  })
}

resource "aws_vpc" "vpc" {
  count                = local.new_vpc ? 1 : 0
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = "ddbproxy" }
}

resource "aws_subnet" "subnet" {
  count             = local.new_vpc ? (local.fleet ? 2 : 1) : 0
  vpc_id            = local.vpc_id
  cidr_block        = local.fleet ? cidrsubnet(var.vpc_cidr, 27 - tonumber(split("/", var.vpc_cidr)[1]), count.index) : var.vpc_cidr
  availability_zone = local.fleet ? data.aws_availability_zones.available.names[count.index] : null
  tags              = { Name = "ddbproxy" }
}

resource "aws_internet_gateway" "internet" {
  count  = local.new_vpc ? 1 : 0
  vpc_id = local.vpc_id
  tags   = { Name = "ddbproxy" }
}

resource "aws_route_table" "route_table" {
  count  = local.new_vpc ? 1 : 0
  vpc_id = local.vpc_id
  tags   = { Name = "ddbproxy" }
}

resource "aws_route" "default" {
  count                  = local.new_vpc ? 1 : 0
  route_table_id         = aws_route_table.route_table[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.internet[0].id
}

resource "aws_route_table_association" "subnet" {
  count          = local.new_vpc ? (local.fleet ? 2 : 1) : 0
  subnet_id      = aws_subnet.subnet[count.index].id
  route_table_id = aws_route_table.route_table[0].id
}

resource "aws_vpc_endpoint" "gateway" {
  vpc_id            = local.vpc_id
  vpc_endpoint_type = "Gateway"
  service_name      = "com.amazonaws.${local.region}.dynamodb"
  route_table_ids   = local.route_table_ids
  policy            = local.endpoint_policy
  tags              = { Name = "ddbproxy" }
}

resource "aws_vpc_endpoint" "private_link" {
  count               = local.linked ? 1 : 0
  vpc_id              = local.vpc_id
  vpc_endpoint_type   = "Interface"
  service_name        = var.private_link == "streams" ? "com.amazonaws.${local.region}.dynamodb-streams" : "com.amazonaws.${local.region}.dynamodb"
  private_dns_enabled = false
  subnet_ids          = local.subnet_ids
  security_group_ids  = [aws_security_group.private_link[0].id]
  policy              = local.endpoint_policy
  tags                = { Name = "ddbproxy" }
}
