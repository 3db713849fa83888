"""What stands in for IoT rules and SQS on one machine.

The broker's persistent session is the queue: a message stays there until the function has taken
it and the bridge has acknowledged it. ``queue`` gathers batches and plans redeliveries,
``deliveries`` knows what the broker still waits for, ``source`` speaks MQTT, ``presence`` makes
presence events of the broker's log, ``event`` builds what Lambda gets from SQS, ``dead_letters``
keeps what was given up, and ``runner`` joins them.
"""
