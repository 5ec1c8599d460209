# Terraform takes the rule that lets everything out off a new group.
resource "aws_security_group" "bastion" {
  name_prefix = "ddbproxy-bastion-"
  description = "Bastion of ddbproxy, ssh in and DynamoDB out"
  vpc_id      = local.vpc_id
  tags        = { Name = "ddbproxy-bastion" }
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each          = toset(var.developer_cidrs)
  security_group_id = local.fleet ? aws_security_group.load_balancer[0].id : aws_security_group.bastion.id
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_egress_rule" "dynamodb" {
  security_group_id = aws_security_group.bastion.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_id    = data.aws_ec2_managed_prefix_list.dynamodb.id
}

resource "aws_vpc_security_group_egress_rule" "ssm" {
  count             = var.ssm ? 1 : 0
  security_group_id = aws_security_group.bastion.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "private_link" {
  count                        = local.linked ? 1 : 0
  security_group_id            = aws_security_group.bastion.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = aws_security_group.private_link[0].id
}

resource "aws_security_group" "private_link" {
  count       = local.linked ? 1 : 0
  name_prefix = "ddbproxy-privatelink-"
  description = "Interface endpoint of ddbproxy, from the bastion only"
  vpc_id      = local.vpc_id
  tags        = { Name = "ddbproxy-privatelink" }
}

resource "aws_vpc_security_group_ingress_rule" "private_link" {
  count                        = local.linked ? 1 : 0
  security_group_id            = aws_security_group.private_link[0].id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = aws_security_group.bastion.id
}

# Without Systems Manager the bastion has no role at all.
resource "aws_iam_role" "bastion" {
  count       = var.ssm ? 1 : 0
  name_prefix = "ddbproxy-bastion-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "ssm" {
  count      = var.ssm ? 1 : 0
  role       = aws_iam_role.bastion[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "bastion" {
  count       = var.ssm ? 1 : 0
  name_prefix = "ddbproxy-bastion-"
  role        = aws_iam_role.bastion[0].name
}

locals {
  # ../ddbproxy.yaml has the same script.
  user_data = local.locked ? templatefile("${path.module}/bastion.sh.tftpl", {
    region  = local.region
    vpce    = local.linked ? aws_vpc_endpoint.private_link[0].id : ""
    url     = var.relay_url
    sha256  = var.relay_sha256
    secret  = var.host_key_secret
    hostkey = var.host_key
    keys    = join("\n", var.developer_keys)
    stack   = ""
  }) : null
}

resource "aws_instance" "bastion" {
  count                       = local.fleet ? 0 : 1
  ami                         = data.aws_ssm_parameter.ami.insecure_value
  instance_type               = var.instance_type
  key_name                    = var.key_name == "" ? null : var.key_name
  iam_instance_profile        = one(aws_iam_instance_profile.bastion[*].name)
  subnet_id                   = local.subnet_ids[0]
  associate_public_ip_address = var.public_ip
  vpc_security_group_ids      = [aws_security_group.bastion.id]
  tags                        = { Name = "ddbproxy-bastion" }
  user_data                   = local.user_data
  user_data_replace_on_change = true # it runs at the first boot only

  metadata_options {
    http_tokens                 = "required" # IMDSv2
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted   = true
    volume_type = "gp3"
  }

  lifecycle {
    ignore_changes = [ami] # a newer image is no reason for another bastion
  }

  # The first boot needs a way out.
  depends_on = [
    aws_route.default,
    aws_route_table_association.subnet,
    aws_vpc_security_group_egress_rule.ssm,
  ]
}
