output "connect" {
  description = "What to run on a laptop"
  value       = local.linked ? "ddbproxy connect --instance-connect ${local.locked ? "ddbproxy@" : ""}${aws_instance.bastion.id} --region ${local.region} --endpoint ${aws_vpc_endpoint.private_link[0].dns_entry[0].dns_name}" : "ddbproxy connect --instance-connect ${local.locked ? "ddbproxy@" : ""}${aws_instance.bastion.id} --region ${local.region}"
}

output "instance_id" {
  value = aws_instance.bastion.id
}

output "endpoint_ids" {
  description = "For ddbproxy policy --vpce"
  value       = join(",", local.endpoint_ids)
}

output "developer_policy_arn" {
  description = "To attach to the developers' group or role"
  value       = aws_iam_policy.developer.arn
}

output "deny_policy_arn" {
  description = "To attach to whoever else may not come from elsewhere"
  value       = one(aws_iam_policy.deny[*].arn)
}
