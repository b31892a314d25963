"""What the processes of one watcher have started, seen to its end while they are stopped with all of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from circusd.core.process import Happening, Kind, State
from circusd.kernel import proc
from circusd.kernel.proc import Identity

from .part import Part

if TYPE_CHECKING:
    from .watcher import Watcher


class Trees(Part):
    """By slot, the descendants of a process that is being stopped together with them."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__(watcher)
        self._trees: dict[int, _Tree] = {}

    def members(self, wid: int) -> list[Identity]:
        """The descendants that were seen, and have not ended."""
        return list(self._trees[wid].members) if wid in self._trees else []

    def all_of(self, wid: int) -> list[Identity]:
        """The same, after the process itself; nothing where no tree is seen to its end."""
        return [self._trees[wid].root, *self._trees[wid].members] if wid in self._trees else []

    def track(self, wid: int, root: Identity) -> list[Identity]:
        """From now on the end of each of the process's descendants is seen; those there are."""
        arbiter = self._watcher.arbiter
        tree = self._trees.get(wid)
        if tree is None or tree.root != root:
            if tree is not None:
                tree.close()
            tree = self._trees[wid] = _Tree(root)
        for member in proc.tree([root, *tree.members], arbiter.table()):
            if member != root and member not in tree.members:
                gone = partial(self._member_gone, wid, tree, member)
                tree.members[member] = arbiter.reaper.watch_stranger(member.pid, gone)
        return list(tree.members)

    def _member_gone(self, wid: int, tree: _Tree, member: Identity) -> None:
        """In the hub's turn."""
        tree.members.pop(member, None)
        if not tree.members:
            self._watcher.arbiter.post(self._watcher, self.look_after, wid, tree.root)

    def look_after(self, wid: int, root: Identity) -> None:
        """The main process is gone: when the rest is gone too, the stop is at its end."""
        process = self._watcher.planner.processes.get(wid)
        if process is None or process.state is not State.STOPPING or process.pid is not None:
            return
        if not self.track(wid, root):
            self.forget(wid)
            self._watcher.happen(wid, Happening(Kind.TREE_GONE))

    def check(self, wid: int) -> None:
        """As `look_after`; where nothing was seen, nothing is left."""
        if wid in self._trees:
            self.look_after(wid, self._trees[wid].root)
        else:
            self._watcher.happen(wid, Happening(Kind.TREE_GONE))

    def forget(self, wid: int) -> None:
        """Nothing of that slot is looked after."""
        tree = self._trees.pop(wid, None)
        if tree is not None:
            tree.close()


class _Tree:
    def __init__(self, root: Identity) -> None:
        self.root = root
        self.members: dict[Identity, Callable[[], None]] = {}
        """What cancels the watch, by process."""

    def close(self) -> None:
        for cancel in self.members.values():
            cancel()
        self.members.clear()
