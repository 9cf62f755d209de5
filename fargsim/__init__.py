"""Discrete-event simulation of Amazon ECS on AWS Fargate and EC2."""

__version__ = "0.1.0"
