variable "developer_cidrs" {
  description = "Where developers come from, such as 203.0.113.7/32"
  type        = list(string)
}

variable "vpc_id" {
  description = "An existing VPC; empty makes one with a public subnet"
  type        = string
  default     = ""
}

variable "subnet_id" {
  description = "The bastion's subnet in the existing VPC"
  type        = string
  default     = ""

  validation {
    condition     = (var.vpc_id == "") == (var.subnet_id == "")
    error_message = "vpc_id needs subnet_id, which needs it."
  }
}

variable "route_table_ids" {
  description = "Route tables of the existing VPC that get the endpoint's route; the one of the bastion's subnet has to be among them"
  type        = list(string)
  default     = []

  validation {
    condition     = (var.vpc_id == "") == (length(var.route_table_ids) == 0)
    error_message = "vpc_id needs route_table_ids, which need it."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC that is made"
  type        = string
  default     = "10.86.0.0/24"
}

variable "public_ip" {
  description = "Whether the bastion has a public address"
  type        = bool
  default     = true
}

variable "instance_type" {
  description = "An arm64 type"
  type        = string
  default     = "t4g.nano"
}

variable "key_name" {
  description = "An EC2 key pair; none is needed with EC2 Instance Connect"
  type        = string
  default     = ""
}

variable "ssm" {
  description = "Whether Systems Manager reaches the bastion; it then may open connections to port 443 anywhere"
  type        = bool
  default     = true
}

variable "private_link" {
  description = "An interface endpoint too (none, dynamodb or streams); DynamoDB Streams has no other"
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "dynamodb", "streams"], var.private_link)
    error_message = "private_link is none, dynamodb or streams."
  }
}

variable "deny_elsewhere" {
  description = "Whether there is also a policy that denies DynamoDB past the endpoints whatever others allow"
  type        = bool
  default     = false
}

variable "relay_url" {
  description = "Where the bastion fetches ddbproxy-relay at its first boot, an .rpm, a .tar.gz or the program itself (linux, arm64); developers then log in as ddbproxy and can start the relay only. Empty leaves them ec2-user, and the relay to be uploaded"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(https://[A-Za-z0-9._~:/?#@!$&()*+,;=%-]+)?$", var.relay_url))
    error_message = "relay_url is an https URL."
  }

  validation {
    condition     = var.relay_url == "" || var.ssm
    error_message = "relay_url needs ssm, without which the bastion reaches DynamoDB only."
  }
}

variable "relay_sha256" {
  description = "The SHA-256 of that file, as SHA256SUMS of the release has it"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([0-9a-f]{64})?$", var.relay_sha256)) && (var.relay_url == "") == (var.relay_sha256 == "")
    error_message = "relay_sha256 is 64 hexadecimal digits, and relay_url needs it."
  }
}

variable "ami" {
  description = "The parameter of Systems Manager that names the newest Amazon Linux 2023"
  type        = string
  default     = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
}
