"""Changes of a model's weights without training: a stage of a recipe either trains or transforms. One file each."""

from forgetting.models.transforms.edit import edit
from forgetting.models.transforms.influence import influence
from forgetting.models.transforms.merge import merge
from forgetting.models.transforms.noise import noise
from forgetting.models.transforms.registry import TRANSFORMS, Given, Transform, build_transform, register_transform
from forgetting.models.transforms.replace import replace
from forgetting.models.transforms.task_vector import task_vector

__all__ = [
    "TRANSFORMS",
    "Given",
    "Transform",
    "build_transform",
    "edit",
    "influence",
    "merge",
    "noise",
    "register_transform",
    "replace",
    "task_vector",
]
