"""What a function gets as its second argument."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field


@dataclass(slots=True)
class LambdaContext:
    """The part of Lambda's context object that exists on one machine (AWS Lambda, Python)."""

    function_name: str
    timeout_s: float
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "0"
    _started: float = field(default_factory=time.monotonic)

    @property
    def invoked_function_arn(self) -> str:
        """The function's name as an ARN of the local account."""
        return f"arn:aws:lambda:us-east-1:000000000000:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's time is up; 0 where it is."""
        left = self.timeout_s - (time.monotonic() - self._started)
        return max(0, round(left * 1000))
