"""The lab on other machines, by Dask: blocks of episodes, or of seeds, go to the workers of a scheduler that somebody
runs, and figures come back. Scheduler and workers are Dask's own programs.

A block is some episodes of one tape under one set of conditions, with the methods that have still to work them. Its
tape is a task of its own, named by its fingerprint: Dask brings it to each worker once, and makes it again where a
worker is lost. Only this process writes results, whole episodes as they come, so what is stored does not depend on who
worked it, and an experiment that was cut off is merged with the rest by --resume.

Functions travel as pickles: a cluster is as trusted as this machine. A worker that runs other code than this process
refuses the work, because its figures would not compare.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import msgspec

import fsm_exec
import states
from fsm_exec.core.errors import ExecError, UserError
from fsm_exec.core.text import describe_failure
from fsm_exec.lab.experiment.compare import Field
from fsm_exec.lab.experiment.episode_runner import LabError
from fsm_exec.lab.experiment.episodes import Conditions
from fsm_exec.lab.experiment.ground import Ground, Task, work_tasks
from fsm_exec.lab.experiment.results import EpisodeResult, Results
from fsm_exec.lab.simulation.seed_search import SearchOptions, SeedResult, run_seed
from fsm_exec.plugins import installed

if TYPE_CHECKING:
    from distributed import Client, Future

BLOCK_OF: Final = 8  # episodes or seeds: a few seconds of work, so that handing it over costs nothing
AHEAD: Final = 3  # blocks that a worker has waiting for it, so that it never waits
CONNECT_S: Final = 10
GROUNDS_MAX: Final = 4  # that a worker keeps: blocks come tape by tape
T = TypeVar("T")

Block: TypeAlias = tuple[Callable[..., list[Any]], tuple[Any, ...]]
"""What a worker calls, and with what."""


class Cluster:
    """A scheduler that answers, and has workers. Made by `open_cluster`."""

    def __init__(self, client: Client, address: str) -> None:
        self._client, self._address = client, address

    def run_tasks(self, field: Field, tasks: Sequence[Task], results: Results) -> Generator[int, None, None]:
        """Work the tasks and store what comes of them; yields how many are done, each time that grows. Closing the
        generator keeps what is stored and drops the rest. Raises LabError."""
        done = 0
        for block in self.run_blocks(self._blocks_of(field, tasks)):
            for result in block:
                results.add(result)
            done += len(block)
            yield done

    def _blocks_of(self, field: Field, tasks: Sequence[Task]) -> Iterator[Block]:
        fingerprints = {name: known.fingerprint for name, known in field.known_tapes().items()}
        for tape, of_tape in groupby(tasks, lambda task: task.key.tape):
            name = fingerprints[tape]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it is large: it travels once
                there = self._client.submit(hand_over, pack_tape(field.ground(tape)), key=f"fsm-exec-tape-{name}")
            for block in _cut(of_tape):
                yield work_block, (there, name, field.plan.every_us, field.plan.conditions, block)

    def search_seeds(self, seeds: Sequence[int], options: SearchOptions) -> Generator[SeedResult, None, None]:
        """All seeds, in the order in which their blocks end. Raises LabError."""
        for lived in self.run_blocks((work_seeds, (block, options)) for block in _cut(seeds)):
            yield from lived

    def count_workers(self) -> int:
        """Return how many worker processes there are now: some may come, and go."""
        return len(self._client.nthreads())

    def run_blocks(self, blocks: Iterator[Block]) -> Generator[list[Any], None, None]:
        """Yield what the blocks come to, as they end; a few more than there are workers are out at any time."""
        import distributed

        running: set[Future] = set()
        try:
            while True:
                room = AHEAD * max(1, self.count_workers()) - len(running)
                for function, arguments in islice(blocks, max(0, room)):
                    running.add(self._client.submit(function, describe_program(), *arguments, pure=False))
                if not running:
                    return
                ended, running = distributed.wait(running, return_when="FIRST_COMPLETED")
                for future in ended:
                    yield future.result()
        except (ExecError, GeneratorExit):
            raise
        except (OSError, distributed.CancelledError) as error:
            raise self._failure("it is gone") from error
        except distributed.KilledWorker as error:
            raise self._failure("workers died of the same block, one after the other") from error
        except Exception as error:
            raise self._failure(describe_failure(error)) from error
        finally:
            with suppress(OSError, distributed.CancelledError):
                self._client.cancel(list(running))

    def _failure(self, why: str) -> LabError:
        return LabError(f"the cluster at {self._address}: {why}; what is done is kept: add --resume to go on")


@contextmanager
def open_cluster(address: str) -> Iterator[Cluster]:
    """Connect to the scheduler at `address`. Raises UserError if none answers or it has no workers, and without the
    extra that brings Dask."""
    try:
        import distributed
    except ImportError as error:
        raise UserError("--cluster needs Dask: pip install 'fsm-exec[cluster]'") from error
    for name in ("asyncio", "distributed", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("asyncio", "distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is raised, in a line
    try:
        client = distributed.Client(address, timeout=CONNECT_S)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise UserError(
            f"--cluster {address}: no Dask scheduler answers there; start one with: dask scheduler"
        ) from error
    with client:
        found = Cluster(client, address)
        if not found.count_workers():
            raise UserError(f"--cluster {address}: it has no workers; start some with: dask worker {address}")
        yield found


def _cut(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while block := list(islice(left, BLOCK_OF)):
        yield block


def pack_tape(ground: Ground) -> bytes:
    """Return a tape as it travels."""
    return zlib.compress(pickle.dumps(ground.tape), 1)


@cache
def describe_program() -> str:
    """Describe what the figures depend on: the source of this program, Python, trio, and algorithms that packages
    offer."""
    digest = hashlib.sha256()
    for package in (fsm_exec, states):
        folder = Path(str(package.__file__)).parent
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    offered = [str(installed().origin(name)) for name in sorted(installed().names)]
    versions = [f"{sys.version_info[0]}.{sys.version_info[1]}", metadata.version("trio"), *offered]
    return f"{digest.hexdigest()} {' '.join(versions)}"


# On a worker.

_alone = threading.Lock()  # the virtual lane has a process to itself, however many threads a worker has
_grounds: dict[tuple[str, int, str], Ground] = {}


def hand_over(packed: bytes) -> bytes:
    """Return a tape as it came: a task, so that Dask knows where it is and makes it again."""
    return packed


def work_block(
    program: str, packed: bytes, fingerprint: str, every_us: int, conditions: Conditions, tasks: Sequence[Task]
) -> list[EpisodeResult]:
    """Work a block on a worker. Raises LabError, and UserError if the worker runs other code."""
    _check_program(program)
    with _alone:
        name = (fingerprint, every_us, str(msgspec.to_builtins(conditions)))
        if name not in _grounds:
            while len(_grounds) >= GROUNDS_MAX:
                del _grounds[next(iter(_grounds))]
            _grounds[name] = Ground.of(pickle.loads(zlib.decompress(packed)), every_us, conditions)
        return work_tasks(_grounds[name], tasks)


def work_seeds(program: str, seeds: Sequence[int], options: SearchOptions) -> list[SeedResult]:
    """Live through the seeds of a block on a worker. Raises UserError if the worker runs other code."""
    _check_program(program)
    with _alone:
        return [run_seed(seed, options) for seed in seeds]


def _check_program(program: str) -> None:
    if program != describe_program():
        raise UserError(
            "a worker of the cluster runs another version of fsm-exec, Python, trio or an algorithm's package: "
            "install there what is installed here, and start it again"
        )
