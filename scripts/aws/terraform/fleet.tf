# Several bastions: an Auto Scaling group behind a network load balancer. They share
# a host key, so that to a client they are one.

resource "aws_security_group" "load_balancer" {
  count       = local.fleet ? 1 : 0
  name_prefix = "ddbproxy-loadbalancer-"
  description = "Load balancer of ddbproxy, ssh in and to the bastions only"
  vpc_id      = local.vpc_id
  tags        = { Name = "ddbproxy-loadbalancer" }
}

resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  count                        = local.fleet ? 1 : 0
  security_group_id            = aws_security_group.load_balancer[0].id
  ip_protocol                  = "tcp"
  from_port                    = 2222
  to_port                      = 2222
  referenced_security_group_id = aws_security_group.bastion.id
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  count                        = local.fleet ? 1 : 0
  security_group_id            = aws_security_group.bastion.id
  ip_protocol                  = "tcp"
  from_port                    = 2222
  to_port                      = 2222
  referenced_security_group_id = aws_security_group.load_balancer[0].id
}

resource "aws_iam_role_policy" "host_key" {
  count = local.fleet ? 1 : 0
  name  = "HostKey"
  role  = aws_iam_role.bastion[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "HostKey"
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = var.host_key_secret
    }]
  })
}

resource "aws_launch_template" "bastion" {
  count         = local.fleet ? 1 : 0
  name_prefix   = "ddbproxy-bastion-"
  image_id      = data.aws_ssm_parameter.ami.insecure_value
  instance_type = var.instance_type
  key_name      = var.key_name == "" ? null : var.key_name
  user_data     = base64encode(local.user_data)

  iam_instance_profile {
    name = aws_iam_instance_profile.bastion[0].name
  }

  metadata_options {
    http_tokens                 = "required" # IMDSv2
    http_put_response_hop_limit = 1
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = var.public_ip
    security_groups             = [aws_security_group.bastion.id]
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      encrypted   = true
      volume_type = "gp3"
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "ddbproxy-bastion" }
  }
}

# A machine whose first boot failed does not listen on the target's port, so the
# load balancer never sends anybody there, and the group replaces it.
resource "aws_autoscaling_group" "bastion" {
  count                     = local.fleet ? 1 : 0
  name_prefix               = "ddbproxy-bastion-"
  vpc_zone_identifier       = local.subnet_ids
  min_size                  = var.bastions
  desired_capacity          = var.bastions
  max_size                  = 10 # one more while they are replaced
  target_group_arns         = [aws_lb_target_group.bastion[0].arn]
  health_check_type         = "ELB"
  health_check_grace_period = 300
  wait_for_elb_capacity     = var.bastions

  launch_template {
    id      = aws_launch_template.bastion[0].id
    version = aws_launch_template.bastion[0].latest_version
  }

  # Another version of the launch template has them replaced, one by one.
  instance_refresh {
    strategy = "Rolling"
    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 110
    }
  }

  # The first boot needs a way out, and the host key.
  depends_on = [
    aws_route.default,
    aws_route_table_association.subnet,
    aws_vpc_security_group_egress_rule.ssm,
    aws_iam_role_policy.host_key,
    aws_lb_listener.ssh,
  ]
}

resource "aws_lb" "bastion" {
  count                            = local.fleet ? 1 : 0
  load_balancer_type               = "network"
  internal                         = var.internal_load_balancer
  subnets                          = local.new_vpc || length(var.load_balancer_subnet_ids) == 0 ? local.subnet_ids : var.load_balancer_subnet_ids
  security_groups                  = [aws_security_group.load_balancer[0].id]
  enable_cross_zone_load_balancing = true

  depends_on = [aws_internet_gateway.internet]
}

resource "aws_lb_target_group" "bastion" {
  count              = local.fleet ? 1 : 0
  vpc_id             = local.vpc_id
  target_type        = "instance"
  protocol           = "TCP"
  port               = 2222
  preserve_client_ip = true # sshd sees where developers come from

  # A session ends when its machine is to go, and ddbproxy connects to another.
  deregistration_delay   = 60
  connection_termination = true

  health_check {
    protocol            = "TCP"
    port                = "traffic-port"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "ssh" {
  count             = local.fleet ? 1 : 0
  load_balancer_arn = aws_lb.bastion[0].arn
  protocol          = "TCP"
  port              = 22

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.bastion[0].arn
  }
}
