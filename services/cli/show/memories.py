"""Memories, printed for a person."""

from rich.text import Text

from schemas.api.memories import ForgetReach, ForgettingPage, MemoryDetail, MemoryPage, MemorySearch, MemoryView
from schemas.forgetting import Forgetting
from services.cli.show.render import plain_table
from services.cli.terminal import Screen, clean, one_line

LONGEST_CELL = 80

EMPTY = (
    "Nothing is remembered yet. Memories come from the runs of this tenant, once they have ended, and the service "
    "`memory` must run: waggle doctor"
)


def show_memories(screen: Screen, page: MemoryPage) -> None:
    """Print a list of memories."""
    if not page.memories:
        screen.say(EMPTY if page.empty else "No memory matches.")
        return
    table = plain_table("memory", "kind", "state", "about", "created", "uses", "content", right=5, left_again=6)
    for each in page.memories:
        table.add_row(*_cells(each))
    screen.say(table)
    if page.next_cursor:
        screen.note("there are more: --limit N")
    _note_withheld(screen, page.memories[0])


def _cells(view: MemoryView) -> tuple[str, ...]:
    memory = view.memory
    about = one_line(memory.subject or memory.session or memory.run, 30)
    content = one_line(memory.content, LONGEST_CELL)
    return memory.id, memory.kind.value, state_of(view), about, f"{memory.created:%Y-%m-%d}", str(view.uses), content


def state_of(view: MemoryView) -> str:
    """Return the state of a memory in a few words."""
    memory = view.memory
    words = [view.state if view.state != "kept" else "", "pinned" if memory.pinned else ""]
    words += ["untrusted" if memory.taint else "", view.standing if view.standing != "fresh" else ""]
    return ", ".join(word for word in words if word) or "kept"


def show_memory(screen: Screen, found: MemoryDetail) -> None:
    """Print one memory with what it comes from."""
    memory = found.memory
    screen.say(Text(f"{memory.kind} memory {memory.id}, version {memory.version}: {state_of(found)}", style="bold"))
    screen.say(Text(clean(memory.content)))
    for name, value in _facts(found):
        screen.say(Text(f"{name}: {value}", style="dim"))
    for change in memory.changes:
        why = f": {one_line(change.reason)}" if change.reason else ""
        screen.say(f"version {change.version} {change.kind} by {one_line(change.by)} {_moment(change.at)}{why}")
    if found.state == "candidate":
        screen.say(Text(f"Not recalled until someone confirms it: waggle memory confirm {memory.id}", style="yellow"))


def _facts(found: MemoryDetail) -> list[tuple[str, str]]:
    """Return the facts that are known of a memory, by name."""
    memory = found.memory
    until = f"until {_moment(memory.valid_until)}" if memory.valid_until and not memory.pinned else "without end"
    facts = {
        "about": one_line(memory.subject),
        "created": _moment(memory.created),
        "valid": f"{f'from {_moment(memory.valid_from)} ' if memory.valid_from else ''}{until}",
        "importance": one_line(found.importance_reason),
        "used": f"{found.uses} times" + (f", last {_moment(found.last_used)}" if found.last_used else ""),
        "from untrusted": one_line(", ".join(memory.taint)),
        "confirmed by": one_line(memory.confirmed_by),
        "agent": one_line(memory.agent),
        "run": f"waggle status {one_line(memory.run)}" if memory.run else "",
        "conversation": f"waggle sessions show {one_line(memory.session)}" if memory.session else "",
        "sources": ", ".join(f"{each.topic}/{each.partition}/{each.offset}" for each in found.sources),
    }
    return [(name, value) for name, value in facts.items() if value]


def show_search(screen: Screen, search: MemorySearch) -> None:
    """Print what a search has found, with the reasons."""
    if not search.found:
        screen.say("Nothing is recalled for this text. Candidates are never recalled: waggle memory list --candidates")
        return
    for each in search.found:
        memory = each.view.memory
        screen.say(Text(f"{each.score:6.2f}  {memory.kind}  {memory.id}  {state_of(each.view)}", style="bold"))
        screen.say(Text(f"        {one_line(memory.content, 300)}"))
        screen.say(Text(f"        reasons: {one_line('; '.join(each.reasons))}", style="dim"))
    if not search.by_meaning:
        screen.note("found by words alone")


def reach_line(reach: ForgetReach, what: str) -> str:
    """Return what a forget reaches, as one line."""
    least = "" if reach.complete else "at least "
    waiting = f" ({reach.candidates} of them candidates)" if reach.candidates else ""
    runs, files = _count(reach.runs, "run"), _count(reach.files, "file")
    memories = f"{reach.memories} {'memory' if reach.memories == 1 else 'memories'}{waiting}"
    return f"{what}: {memories}; {least}{runs} with prompts, journals and results, and {least}{files} that they name"


def show_forgettings(screen: Screen, page: ForgettingPage) -> None:
    """Print orders to forget."""
    if not page.forgettings:
        screen.say("Nothing was ordered to be forgotten. Single memories that were forgotten are not listed.")
        return
    table = plain_table("forgetting", "state", "what", "ordered", "by", "runs", right=5)
    for each in page.forgettings:
        by = one_line(each.by, 30)
        table.add_row(each.id, each.state, what_of(each), _moment(each.ordered), by, str(len(each.runs)))
    screen.say(table)


def what_of(forgetting: Forgetting) -> str:
    """Return the selection of an order; a subject or a session is a digest."""
    return one_line(f"{forgetting.kind} {forgetting.named}", 40)


def show_forgetting(screen: Screen, found: Forgetting) -> None:
    """Print the report of an order to forget, store by store."""
    screen.say(Text(f"{what_of(found)}: {found.state}", style="bold"))
    finished = f", finished {_moment(found.finished)}" if found.finished else ""
    screen.say(f"ordered {_moment(found.ordered)} by {one_line(found.by)}{finished}; {_count(len(found.runs), 'run')}")
    if found.live:
        screen.say(Text(f"waits for these runs to end: {one_line(', '.join(found.live), 500)}", style="yellow"))
        screen.say("To forget them now: waggle cancel RUN")
    if not found.stores:
        return
    table = plain_table("store", "removed", "remaining", "until", "note", right=1)
    for each in found.stores:
        until = _moment(each.until) if each.until else ""
        table.add_row(one_line(each.store), str(each.removed), str(each.remaining), until, one_line(each.note))
    screen.say(table)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _note_withheld(screen: Screen, view: MemoryView) -> None:
    if view.withheld:
        screen.note("contents are withheld: they need the role `contents`")


def _moment(at: object) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z"
