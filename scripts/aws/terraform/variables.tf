variable "developer_cidrs" {
  description = "Where developers come from, such as 203.0.113.7/32"
  type        = list(string)
}

variable "vpc_id" {
  description = "An existing VPC; empty makes one with a public subnet, or two for several bastions"
  type        = string
  default     = ""
}

variable "subnet_ids" {
  description = "The bastion's subnet in the existing VPC; of several bastions, their subnets"
  type        = list(string)
  default     = []

  validation {
    condition     = (var.vpc_id == "") == (length(var.subnet_ids) == 0)
    error_message = "vpc_id needs subnet_ids, which need it."
  }
}

variable "route_table_ids" {
  description = "Route tables of the existing VPC that get the endpoint's route; those of the bastions' subnets have to be among them"
  type        = list(string)
  default     = []

  validation {
    condition     = (var.vpc_id == "") == (length(var.route_table_ids) == 0)
    error_message = "vpc_id needs route_table_ids, which need it."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC that is made, at least a /26"
  type        = string
  default     = "10.86.0.0/24"
}

variable "public_ip" {
  description = "Whether the bastion has a public address"
  type        = bool
  default     = true
}

variable "bastions" {
  description = "How many; several are an Auto Scaling group behind a network load balancer, which needs relay_url, host_key_secret, host_key and developer_keys"
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 2, 3, 4, 5, 6, 7, 8, 9], var.bastions)
    error_message = "bastions is 1 to 9."
  }

  validation {
    condition     = var.bastions == 1 || var.relay_url != ""
    error_message = "Several bastions need relay_url, without which developers are root on them and could take their host key."
  }
}

variable "internal_load_balancer" {
  description = "Whether the load balancer has private addresses only"
  type        = bool
  default     = false
}

variable "load_balancer_subnet_ids" {
  description = "The load balancer's subnets in the existing VPC, where they are not those of the bastions"
  type        = list(string)
  default     = []
}

variable "host_key_secret" {
  description = "ARN of the secret of Secrets Manager with the private ed25519 host key that several bastions share"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+)?$", var.host_key_secret))
    error_message = "host_key_secret is the ARN of a secret."
  }

  validation {
    condition     = (var.bastions == 1) == (var.host_key_secret == "")
    error_message = "Several bastions need host_key_secret, or each had a host key of its own; one has its own."
  }
}

variable "host_key" {
  description = "Its public half, without the comment"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(ssh-ed25519 [A-Za-z0-9+/]{68})?$", var.host_key)) && (var.bastions == 1) == (var.host_key == "")
    error_message = "host_key is ssh-ed25519 AAAA..., and is for several bastions, which need it."
  }
}

variable "developer_keys" {
  description = "Who may log in to several bastions, public keys as authorized_keys has them; cert-authority before one makes it an authority that signs developers' certificates for the principal ddbproxy"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for key in var.developer_keys : can(regex("^((cert-authority )?(sk-)?(ssh|ecdsa-sha2)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}( [A-Za-z0-9@._+-]+)?)$", key))])
    error_message = "developer_keys are lines such as ssh-ed25519 AAAA... name."
  }

  validation {
    condition     = (var.bastions == 1) == (length(var.developer_keys) == 0)
    error_message = "developer_keys are for several bastions, which need them: EC2 Instance Connect gives a key to one machine only."
  }
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
