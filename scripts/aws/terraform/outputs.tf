locals {
  where    = local.fleet ? "ddbproxy@${aws_lb.bastion[0].dns_name}" : "--instance-connect ${local.locked ? "ddbproxy@" : ""}${aws_instance.bastion[0].id}"
  endpoint = local.linked ? " --endpoint ${aws_vpc_endpoint.private_link[0].dns_entry[0].dns_name}" : ""
}

output "connect" {
  description = "What to run on a laptop"
  value       = "ddbproxy connect ${local.where} --region ${local.region}${local.endpoint}"
}

output "known_hosts" {
  description = "The line for a laptop's ~/.ssh/known_hosts, before it connects for the first time"
  value       = local.fleet ? "${aws_lb.bastion[0].dns_name} ${var.host_key}" : null
}

output "instance_id" {
  value = one(aws_instance.bastion[*].id)
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
