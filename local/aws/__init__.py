"""AWS on one machine: moto's services behind a guard, a user pool that is kept, a data plane."""
