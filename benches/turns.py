"""Running programs in turns, so that all of them meet the same machine."""
import os
import select
import signal
import subprocess
import time
from pathlib import Path


def resident_mib(pid):
    """Memory of a process, or none once it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None


def in_turns(commands, slice_seconds):
    """Seconds that each command ran, and its memory once a turn. One is stopped while the other runs.

    A machine shared with others may be a fifth slower in one minute than in the next.
    """
    processes = [subprocess.Popen(command) for command in commands]
    handles = [os.pidfd_open(process.pid) for process in processes]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    seconds, memory, running = [0.0] * len(commands), [[] for _ in commands], list(range(len(commands)))
    try:
        while running:
            for k in list(running):
                began = time.monotonic()
                processes[k].send_signal(signal.SIGCONT)
                ended, _, _ = select.select([handles[k]], [], [], slice_seconds)
                if ended:
                    running.remove(k)
                else:
                    processes[k].send_signal(signal.SIGSTOP)
                    memory[k].append(resident_mib(processes[k].pid))
                seconds[k] += time.monotonic() - began
        for process in processes:
            if process.wait() != 0:
                raise SystemExit(f"{process.args} ended with {process.returncode}")
    finally:
        for process in processes:
            process.kill()
        for handle in handles:
            os.close(handle)
    return seconds, memory
