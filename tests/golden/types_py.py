"""The actions of peer 1. Made by `coattail action types`: changes are lost."""

from __future__ import annotations

import typing

class _BackupInputRequired(typing.TypedDict):
    # A path * / alert(1) /* """ import os
    folder: str


_BackupInputFields = typing.TypedDict(
    "_BackupInputFields",
    {
        "__proto__": "typing.Literal[\"x\"]",
        "class": "bool",
        "limits": "BackupInputLimits",
        "mode": "typing.Union[typing.Literal[\"fast\", \"safe\", 1, True, \"a\\\"b\\\\c\\u000a\"], None]",
        "per-file": "typing.Dict[str, float]",
        # Not every rule can be written here: each place of the list has its own type.
        "range": "typing.List[typing.Union[int, str]]",
        "tags": "typing.List[typing.Union[str, None]]",
    },
    total=False,
)


class BackupInput(_BackupInputRequired, _BackupInputFields, total=False):
    """The input of the action `backup`.

    Copies a folder.
    Twice, if asked.

    What to copy
    """


class BackupInputLimits(typing.TypedDict, total=False):
    # Other fields than these may be there.
    bytes: int


class BackupOutput(typing.TypedDict):
    """The output of the action `backup`.

    Copies a folder.
    Twice, if asked.
    """
    id: typing.Literal[7]
    sizes: typing.Dict[str, typing.Any]


# The input of the action `tree`.
TreeInput: typing.TypeAlias = "TreeNode"

class _TreeNodeRequired(typing.TypedDict):
    value: TreeValue


class TreeNode(_TreeNodeRequired, total=False):
    """A node \\ of a tree"""
    children: typing.List[TreeNode]


TreeValue: typing.TypeAlias = "typing.Union[str, float, typing.List[TreeValue]]"

class _TreeOutputRequired(typing.TypedDict):
    a: str


_TreeOutputFields = typing.TypedDict(
    "_TreeOutputFields",
    {
        "b": "int",
        "c-d": "None",
    },
    total=False,
)


class TreeOutput(_TreeOutputRequired, _TreeOutputFields, total=False):
    """The output of the action `tree`."""


class TreeOutput2(typing.TypedDict):
    a: str


_TreeOutput3Fields = typing.TypedDict(
    "_TreeOutput3Fields",
    {
        "b": "int",
        "c-d": "None",
    },
    total=False,
)


class TreeOutput3(_TreeOutput3Fields, total=False):
    pass


# The input of the action `Tree`.
# Not every rule can be written here: it refers to itself.
TreeInput2: typing.TypeAlias = "typing.Any"

# The output of the action `Tree`.
TreeOutput4: typing.TypeAlias = "str"

# The input of the action `Café "; import os; // täglich`.
#
# * / export const hacked = 1; /*
# Not every rule can be written here: certain objects or lists.
CafImportOsTGlichInput: typing.TypeAlias = "typing.Any"

# The output of the action `Café "; import os; // täglich`.
#
# * / export const hacked = 1; /*
CafImportOsTGlichOutput: typing.TypeAlias = "typing.Union[typing.Literal[2], float]"

__UnnamedInputRequiredFields = typing.TypedDict(
    "__UnnamedInputRequiredFields",
    {
        "None": "typing.Any",
        "x\u000ay": "str",
        "absent": "typing.Any",
    },
)


class _UnnamedInputRequired(__UnnamedInputRequiredFields):
    pass


_UnnamedInputFields = typing.TypedDict(
    "_UnnamedInputFields",
    {
        "": "typing.NoReturn",
        # * /
        "\"]: any; }; evil()": "str",
    },
    total=False,
)


class UnnamedInput(_UnnamedInputRequired, _UnnamedInputFields, total=False):
    """The input of the action `日報`.

    \"\"\"
    import os
    process.exit()
    """


# The output of the action `日報`.
#
# """
# import os
# process.exit()
UnnamedOutput: typing.TypeAlias = "typing.Any"

# The input of the action `none`.
NoneInput: typing.TypeAlias = "typing.Any"

# The output of the action `none`.
NoneOutput: typing.TypeAlias = "typing.Any"

ActionName: typing.TypeAlias = typing.Literal[
    "backup",
    "tree",
    "Tree",
    "Café \"; import os; // täglich",
    "日報",
    "none",
]

ActionInputs = typing.TypedDict(
    "ActionInputs",
    {
        "backup": "BackupInput",
        "tree": "TreeInput",
        "Tree": "TreeInput2",
        "Café \"; import os; // täglich": "CafImportOsTGlichInput",
        "日報": "UnnamedInput",
        "none": "NoneInput",
    },
)

ActionOutputs = typing.TypedDict(
    "ActionOutputs",
    {
        "backup": "BackupOutput",
        "tree": "TreeOutput",
        "Tree": "TreeOutput4",
        "Café \"; import os; // täglich": "CafImportOsTGlichOutput",
        "日報": "UnnamedOutput",
        "none": "NoneOutput",
    },
)


class PerformAction(typing.Protocol):
    """Performs any of them."""

    @typing.overload
    def __call__(
        self, name: typing.Literal["backup"], input: BackupInput
    ) -> BackupOutput: ...

    @typing.overload
    def __call__(
        self, name: typing.Literal["tree"], input: TreeInput
    ) -> TreeOutput: ...

    @typing.overload
    def __call__(
        self, name: typing.Literal["Tree"], input: TreeInput2
    ) -> TreeOutput4: ...

    @typing.overload
    def __call__(
        self, name: typing.Literal["Café \"; import os; // täglich"], input: CafImportOsTGlichInput
    ) -> CafImportOsTGlichOutput: ...

    @typing.overload
    def __call__(
        self, name: typing.Literal["日報"], input: UnnamedInput
    ) -> UnnamedOutput: ...

    @typing.overload
    def __call__(
        self, name: typing.Literal["none"], input: NoneInput
    ) -> NoneOutput: ...
