"""Fleets of simulated devices: equipment that behaves like equipment, over real mTLS MQTT.

``python -m device_sim --help`` shows the options. Every model is a pure function of
(seed, device, time), so the same code makes live telemetry and weeks of history, and where
the two meet they agree.
"""
