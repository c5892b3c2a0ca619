"""Work on all cores of a processor, or on the one graphics card, and what those can do."""
import copy
import functools
import os
from concurrent.futures import ThreadPoolExecutor

import torch


@functools.cache
def multiplies_bf16(kind):
    """Whether this kind of device has bf16 in hardware; a CPU without it emulates it, several times slower than f32."""
    return kind != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def worker_count(device):
    """One worker per core on a CPU; a GPU keeps itself busy."""
    return os.cpu_count() if device.type == "cpu" else 1


def on_all_cores(function, jobs):
    """Results of the function for all jobs, each on a thread of its own that uses a single core."""
    with ThreadPoolExecutor(len(jobs), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(function, jobs))


def in_parts(function, rows, device, *batches):
    """What a function makes of batches, so many rows at a time on all cores, in one tensor."""
    jobs, width = list(zip(*(batch.split(rows) for batch in batches))), worker_count(device)
    return torch.cat([made for k in range(0, len(jobs), width)
                      for made in on_all_cores(lambda job: function(*job), jobs[k : k + width])])


class Replicas:
    """Runs a batch on all cores as one single-threaded worker per core, each with its own gradients.

    Splitting every operation over threads instead collapses when other programs use the cores, because some
    convolution kernels wait for each other in busy loops. The replicas share the trained parameters in memory.
    """

    def __init__(self, module, device):
        count = worker_count(device)
        self.modules = [module] + [self._alias(module) for _ in range(count - 1)]
        self.pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    @staticmethod
    def _alias(module):
        replica = copy.deepcopy(module)
        for mine, shared in zip(replica.parameters(), module.parameters()):
            mine.data = shared.data
        return replica

    def backward(self, loss_of, batches):
        """Gradients of the mean loss into the first module; `loss_of(module, batch)` gives a loss and numbers to log."""
        def work(module, batch):
            loss, numbers = loss_of(module, batch)
            module.zero_grad(set_to_none=True)
            (loss / len(self.modules)).backward()
            return numbers

        if len(self.modules) == 1:
            return list(work(self.modules[0], batches[0]))
        results = list(self.pool.map(work, self.modules, batches))
        for other in self.modules[1:]:
            pairs = zip(self.modules[0].parameters(), other.parameters())
            pairs = [(mine, theirs.grad) for mine, theirs in pairs if theirs.grad is not None]
            for mine, gradient in pairs:
                mine.grad = gradient if mine.grad is None else mine.grad.add_(gradient)
        return [sum(values) / len(values) for values in zip(*results)]

    def __len__(self):
        return len(self.modules)
