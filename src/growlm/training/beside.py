"""Work beside training: on a thread that nothing waits for when the process ends."""

import threading
import time
from collections.abc import Callable


class Beside:
    """Work on a thread, which dies with the process; what it raises is raised where it is awaited.

    It is no executor's: those are waited for at the end of the process, however it ends, and a rank
    whose work waits for a dead one must not be.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.ended = 0.0
        """When it did, on the clock of ``time.perf_counter``."""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised again, below
            self._error = error
        self.ended = time.perf_counter()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait for its end, and raise what ended it, if anything did."""
        self._thread.join()
        if self._error is not None:
            raise self._error
