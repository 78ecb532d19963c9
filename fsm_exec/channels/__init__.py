"""The channels of alerts: adapters of `core.alerts.notifying.Channel`, none of which blocks or raises anything else."""
