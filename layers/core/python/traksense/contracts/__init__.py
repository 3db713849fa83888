"""What the platform is made of, as data: topics, rules, queues, functions, schedules, metrics.

Pure: no boto3, no CDK, no I/O. The deployment turns it into AWS resources, the local
platform runs it on one machine, and both read it from here.
"""
