"""S3, SES and Cognito on one machine: moto behind a guard, with a user pool that is kept."""
