resource "aws_iam_policy" "developer" {
  name_prefix = "ddbproxy-developer-"
  description = "DynamoDB through the VPC endpoint, and ssh to the bastion by EC2 Instance Connect"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for s in [
      {
        Sid       = "DynamoDBThroughEndpoint"
        Effect    = "Allow"
        Action    = "dynamodb:*"
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceVpce" = local.endpoint_ids } }
      },
      {
        Sid       = "InstanceConnect"
        Effect    = "Allow"
        Action    = "ec2-instance-connect:SendSSHPublicKey"
        Resource  = "arn:${local.partition}:ec2:${local.region}:${local.account}:instance/${join("", aws_instance.bastion[*].id)}"
        Condition = { StringEquals = { "ec2:osuser" = local.locked ? "ddbproxy" : "ec2-user" } }
      },
      {
        Sid      = "FindBastion"
        Effect   = "Allow"
        Action   = "ec2:DescribeInstances"
        Resource = "*"
      },
      {
        Sid    = "Doctor" # ddbproxy doctor skips what it may not ask
        Effect = "Allow"
        Action = [
          "ec2:DescribeNetworkAcls",
          "ec2:DescribeNetworkInterfaces",
          "ec2:DescribePrefixLists",
          "ec2:DescribeRouteTables",
          "ec2:DescribeSecurityGroups",
          "ec2:DescribeVpcEndpoints",
        ]
        Resource = "*"
      },
    ] : s if s.Sid != "InstanceConnect" || !local.fleet] # it gives a key to one machine only
  })
}

resource "aws_iam_policy" "deny" {
  count       = var.deny_elsewhere ? 1 : 0
  name_prefix = "ddbproxy-deny-"
  description = "No DynamoDB past the VPC endpoint, whatever other policies allow"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "NoDynamoDBPastEndpoint"
      Effect   = "Deny"
      Action   = "dynamodb:*"
      Resource = "*"
      Condition = {
        StringNotEquals = { "aws:SourceVpce" = local.endpoint_ids }
        BoolIfExists    = { "aws:ViaAWSService" = "false" }
      }
    }]
  })
}
