"""What a caller writes: checked with the types beside it."""

from types_py import BackupInput, PerformAction, TreeInput


def use(perform_action: PerformAction) -> int:
    data: BackupInput = {"folder": "/home", "limits": {"bytes": 1}, "mode": "fast"}
    tree: TreeInput = {"value": ["a", [1]], "children": [{"value": 1}]}
    perform_action("tree", tree)
    wrong: BackupInput = {"folder": 42}  # type: ignore[typeddict-item]
    perform_action("restore", wrong)  # type: ignore[call-overload]
    return perform_action("backup", data)["id"]
