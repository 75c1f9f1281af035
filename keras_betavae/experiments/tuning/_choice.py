"""The choice of a setting, and its reasons."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_betavae.experiments.tuning._guards import Measured, fault_of, number_of
from keras_betavae.experiments.tuning._search import Trials

_N_RIVALS = 2


@dataclasses.dataclass(frozen=True)
class Tried:
    """A setting that was tried.

    Attributes:
        name: The setting as text.
        parameters: Of the trial.
        udr: The median UDR with weighted latents, None if the setting was given up.
        udr_published: The median UDR without weights, which the choice does not use.
        reconstruction: The mean reconstruction loss in nats.
        explained: The share of the variance that reconstructions explain.
        active: The mean number of active latents.
        fault: Why it is ruled out, "" if it is not.
        mig: The mean MIG if factors are known, otherwise None.
        folder: Folder of its run with the highest UDR, or of its first run.
    """

    name: str
    parameters: Mapping[str, Any]
    udr: float | None
    udr_published: float | None
    reconstruction: float
    explained: float
    active: float
    fault: str
    mig: float | None
    folder: Path


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a search has chosen.

    Attributes:
        chosen: The setting.
        rivals: The next best ones.
        tried: All settings, sorted by UDR.
        why: The reason in a few sentences.
        folder: The run that trains the setting in full.
        page: The page that shows it.
        failed: The errors of the settings that failed, by name.
    """

    chosen: Tried
    rivals: Sequence[Tried]
    tried: Sequence[Tried]
    why: str
    folder: Path
    page: Path
    failed: Mapping[str, str]


def choose(plan: Trials, trials: Sequence[Any]) -> Choice:
    """Returns the setting with the highest UDR that is not ruled out.

    Raises:
        RuntimeError: If no setting was trained to its end.
    """
    shown = [
        (t, found)
        for t in trials
        if t.state.name in ("COMPLETE", "PRUNED") and (found := Measured.of(t)) is not None
    ]
    among = [found for _, found in shown]
    shown.sort(key=lambda each: each[0].state.name == "COMPLETE")  # The last of a name stays.
    by_name = {plan.name_of(t.params): _tried(plan, t, found, among) for t, found in shown}
    tried = sorted(by_name.values(), key=lambda each: -1 if each.udr is None else each.udr)[::-1]
    failed = {
        name: str(t.user_attrs["error"])
        for t in trials
        if "error" in t.user_attrs and (name := plan.name_of(t.params)) not in by_name
    }
    ended = [each for each in tried if each.udr is not None]
    if not ended:
        reasons = [f"{name}: {error}" for name, error in failed.items()]
        reasons += [f"{each.name}: {each.fault}" for each in tried]
        raise RuntimeError("no setting was trained to its end. " + "; ".join(reasons))
    sound = [each for each in ended if not each.fault]
    ranked = sound or sorted(ended, key=lambda each: -each.explained)
    chosen, rivals = ranked[0], ranked[1 : 1 + _N_RIVALS]
    return Choice(
        chosen=chosen,
        rivals=rivals,
        tried=tried,
        why=_why(chosen, ended, sound, tried),
        folder=plan.folder / "runs" / f"{chosen.name},full",
        page=plan.folder / "index.html",
        failed=failed,
    )


def _tried(plan: Trials, trial: Any, found: Measured, among: Sequence[Measured]) -> Tried:
    name, udr = plan.name_of(trial.params), trial.user_attrs.get("udr")
    seed = plan.search.base.get("seed", 0)
    # What a stranger's study holds may be anything.
    known = udr[: plan.search.seeds] if isinstance(udr, list) else []
    if known and all(isinstance(value, int | float) for value in known):
        seed += known.index(max(known))
    return Tried(
        name=name,
        parameters=trial.params,
        udr=trial.value,
        udr_published=number_of(trial, "udr_published"),
        reconstruction=found.reconstruction,
        explained=found.explained,
        active=found.active,
        fault=fault_of(found, among) or str(trial.user_attrs.get("fault", "")),
        mig=number_of(trial, "mig"),
        folder=plan.folder / "runs" / f"{name},seed={seed}",
    )


def _why(
    chosen: Tried, ended: Sequence[Tried], sound: Sequence[Tried], tried: Sequence[Tried]
) -> str:
    text = (
        f"Chosen: {chosen.name}. Its UDR is {chosen.udr:.3f}, the highest of {len(sound)} settings "
        f"that reconstruct well enough, of {len(tried)} tried; it has {chosen.active:.3g} active "
        f"latents and its reconstructions explain {chosen.explained:.0%} of the variance."
    )
    if not sound:
        text = (
            f"Chosen: {chosen.name}, by its reconstruction, because all settings were ruled out. "
            "Search other strengths."
        )
    ruled_out = [each for each in ended if each.fault and (each.udr or 0) > (chosen.udr or 0)]
    if sound and ruled_out:
        first = ruled_out[0]
        text += f" {first.name} has a higher UDR, {first.udr:.3f}, but {first.fault}."
    with_mig = sorted((e.mig for e in ended if e.mig is not None), reverse=True)
    if chosen.mig is not None:
        rank, quarter = with_mig.index(chosen.mig) + 1, max(1, round(len(with_mig) / 4))
        agrees = "agrees" if rank <= quarter else "does not agree"
        text += (
            f" The factors, which were not used, give it a MIG of {chosen.mig:.3f}, number {rank} "
            f"of {len(with_mig)}: UDR's choice {agrees} with the best quarter."
        )
    return text
