"""What calls answer: plain, immutable values."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Optional

from timbre import _contract


def _name_in(enum: dict[str, int], number: int) -> str:
    return next((n for n, v in enum.items() if v == number), str(number))


@dataclasses.dataclass(frozen=True)
class SearchInfo:
    """How a search was done.

    Attributes:
      version: the version of the voice that was searched; 0 for mixed voices.
      k, nprobe, k_factor: what was really used; of mixed voices for the first
        one (where they are left to the defaults, each has its own).
      degradation: "" as asked, "reduced" to keep the latency budget,
        "passed_through" the frames came back as they were (blend alone).
    """

    version: int = 0
    k: int = 0
    nprobe: int = 0
    k_factor: float = 0.0
    degradation: str = ""


@dataclasses.dataclass(frozen=True)
class BlendInfo(SearchInfo):
    """How a blend was done.

    Attributes:
      versions: of mixed voices, in their order; empty for one voice.
      mean_distance: mean distance of the nearest frame, in the index's metric.
      mean_shift: mean of |out - in| / |in|: 0 says that nothing changed.
      late: there was no answer within the latency budget, and the frames came
        back as they were.
    """

    mean_distance: float = 0.0
    mean_shift: float = 0.0
    late: bool = False
    versions: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Progress:
    """Of a build.

    Attributes:
      stage: "queued", "receiving", "reducing", "training", "adding",
        "tuning" or "publishing".
      fraction: of the whole build, 0 to 1, never falling.
      frames: received so far.
      elapsed_s: since the build began.
    """

    stage: str
    fraction: float
    frames: int
    elapsed_s: float

    @classmethod
    def _of(cls, message: Any) -> Progress:
        return cls(
            _name_in(_contract.STAGES, message.stage),
            message.fraction,
            message.frames,
            message.elapsed.seconds + message.elapsed.nanos / 1e9,
        )


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """One measured setting of a version."""

    nprobe: int
    k_factor: float
    recall: float
    blend_error: float
    microseconds_per_frame: float

    @classmethod
    def _of(cls, message: Any) -> OperatingPoint:
        return cls(
            message.nprobe,
            message.k_factor,
            message.recall,
            message.blend_error,
            message.microseconds_per_frame,
        )


@dataclasses.dataclass(frozen=True)
class Tuning:
    """What Client.tune has measured.

    Attributes:
      operating_points: settings, each more accurate and dearer than the one
        before it.
      chosen: the cheapest that reaches the target, or the most accurate one.
      exact: every row compared, for comparison; nprobe and k_factor are 0.
      one_list: RVC's way, one list, all of it; None on an exact index.
      version: what was measured.
      frames: how many queries.
    """

    operating_points: tuple[OperatingPoint, ...]
    chosen: OperatingPoint
    exact: OperatingPoint
    one_list: Optional[OperatingPoint]
    version: int
    frames: int

    @classmethod
    def _of(cls, message: Any) -> Tuning:
        points = tuple(
            OperatingPoint._of(point) for point in message.operating_points
        )
        return cls(
            operating_points=points,
            chosen=next(
                point
                for point in points
                if (point.nprobe, point.k_factor)
                == (message.chosen.nprobe, message.chosen.k_factor)
            ),
            exact=OperatingPoint._of(message.exact),
            one_list=OperatingPoint._of(message.one_list)
            if message.HasField("one_list")
            else None,
            version=message.version,
            frames=message.frames,
        )


@dataclasses.dataclass(frozen=True)
class Version:
    """One version of a speaker, as the contract's SpeakerVersion."""

    version: int
    frames: int
    dimension: int
    metric: str
    index_factory: str
    create_time: datetime.datetime
    bytes_on_disk: int
    active: bool
    loaded: bool
    default_nprobe: int
    default_k_factor: float
    operating_points: tuple[OperatingPoint, ...]
    labels: dict[str, str]
    digest: str
    warnings: tuple[str, ...]
    frames_received: int
    storage: str

    @classmethod
    def _of(cls, message: Any) -> Version:
        return cls(
            version=message.version,
            frames=message.frames,
            dimension=message.dimension,
            metric=_name_in(_contract.METRICS, message.metric),
            index_factory=message.index_factory,
            create_time=_time_of(message.create_time),
            bytes_on_disk=message.bytes_on_disk,
            active=message.active,
            loaded=message.loaded,
            default_nprobe=message.defaults.nprobe,
            default_k_factor=message.defaults.k_factor,
            operating_points=tuple(
                OperatingPoint._of(point)
                for point in message.operating_points
            ),
            labels=dict(message.labels),
            digest=message.digest,
            warnings=tuple(message.warnings),
            frames_received=message.frames_received,
            storage=_name_in(_contract.ELEMENT_TYPES, message.storage),
        )


@dataclasses.dataclass(frozen=True)
class Speaker:
    """A speaker and its versions, the newest last.

    Attributes:
      active_version: the version that new streams get; 0: none.
    """

    speaker: str
    active_version: int
    versions: tuple[Version, ...]

    @property
    def active(self) -> Optional[Version]:
        """The active version."""
        return next(
            (v for v in self.versions if v.version == self.active_version),
            None,
        )

    @classmethod
    def _of(cls, message: Any) -> Speaker:
        return cls(
            message.speaker,
            message.active_version,
            tuple(Version._of(version) for version in message.versions),
        )


@dataclasses.dataclass(frozen=True)
class Verified:
    """A version whose stored files were compared with their digests.

    Attributes:
      version: 0: of no version, but the voice as a whole could not be read.
      damage: what is wrong with the files; empty: they are whole.
      bytes_done, bytes_total: of the whole call.
    """

    speaker: str
    version: int
    damage: str
    bytes_done: int
    bytes_total: int

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damage

    @classmethod
    def _of(cls, message: Any) -> Verified:
        return cls(
            message.speaker,
            message.version,
            message.damage,
            message.bytes_done,
            message.bytes_total,
        )


@dataclasses.dataclass(frozen=True)
class ServerInfo:
    """The server: its build, its SIMD level, its threads, its limits.

    Attributes:
      resident_bytes: held by open versions, besides mapped pages.
      max_resident_bytes: what they may hold; 0: unlimited.
      open_versions: how many are open.
    """

    version: str
    faiss_version: str
    simd_level: str
    worker_threads: int
    max_message_bytes: int
    metrics_port: int
    start_time: datetime.datetime
    resident_bytes: int = 0
    max_resident_bytes: int = 0
    open_versions: int = 0

    @classmethod
    def _of(cls, message: Any) -> ServerInfo:
        return cls(
            message.version,
            message.faiss_version,
            message.simd_level,
            message.worker_threads,
            message.max_message_bytes,
            message.metrics_port,
            _time_of(message.start_time),
            message.resident_bytes,
            message.max_resident_bytes,
            message.open_versions,
        )


def _time_of(message: Any) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(
        message.seconds, datetime.timezone.utc
    ) + datetime.timedelta(microseconds=message.nanos // 1000)
