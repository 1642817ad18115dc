"""``millwright images``: Millwright's own images, here and in an environment's registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.app import app, output
from cli.common import EitherName, EnvironmentOption, OutputsOption, either, project
from cli.output import table
from contracts.errors import ImageError, MillwrightError
from contracts.images import OWN, PushedImages

if TYPE_CHECKING:
    from images.publish import Standing
    from images.recipe import Recipe
    from images.registry import Registry
    from images.tools import Tool
    from project.handle import Project

images_app = typer.Typer(
    no_args_is_help=True, help="Millwright's own images: build, push and compare them."
)
app.add_typer(images_app, name="images")

ImageOption = Annotated[
    list[str] | None,
    typer.Option("--image", metavar="NAME", help=f"Only this one: {', '.join(OWN)}. Repeatable."),
]
BaseOption = Annotated[
    str,
    typer.Option("--base", metavar="IMAGE", help="Start from this image, which has Python's venv."),
]
PlatformOption = Annotated[
    str, typer.Option("--platform", help="What it shall run on; linux/amd64 if left out.")
]
ToolOption = Annotated[
    str, typer.Option("--tool", help="docker, podman or buildah; the first that works if left out.")
]
LOGS = Path("images")
"""The folder of the builds' logs, in that of the project's state."""
MEGABYTE = 1e6


def recipes(names: list[str] | None, base: str, platform: str) -> list[Recipe]:
    """The recipes of the images of these names, or of all."""
    from images.recipe import PLATFORM, read_recipe

    chosen = dict.fromkeys(names or OWN)
    return [read_recipe(name, base=base, platform=platform or PLATFORM) for name in chosen]


def logs_of(where: Project) -> Path:
    """The folder of the builds' logs."""
    return where.root.parent / LOGS


def registry_of(where: Project) -> Registry:
    """The registry of an environment that is up."""
    from images.registry import Registry

    return Registry(where.name, where.outputs().registries, where.aws().client("ecr"))


@images_app.command()
def build(
    image: ImageOption = None,
    base: BaseOption = "",
    platform: PlatformOption = "",
    tool: ToolOption = "",
) -> None:
    """Build the images on this machine; what was built from the same content is kept."""
    from images.publish import build as build_image
    from images.tools import choose

    wanted = recipes(image, base, platform)
    logs, builder = logs_of(project()), choose(tool)
    built = [build_image(recipe, builder, logs, output.say) for recipe in wanted]
    output.result(
        {"tool": builder.name, "images": [vars(made) for made in built]},
        lambda console: console.print(
            table(
                f"Built with {builder.name}",
                ("image", "reference", "MB", "seconds"),
                [
                    (
                        made.name,
                        made.reference,
                        f"{made.size / MEGABYTE:.0f}",
                        f"{made.seconds:.0f}" if made.seconds else "[dim]kept[/]",
                    )
                    for made in built
                ],
                right=("MB", "seconds"),
            )
        ),
    )


@images_app.command()
def push(
    environment: EitherName = "",
    named: EnvironmentOption = "",
    outputs: OutputsOption = "",
    image: ImageOption = None,
    base: BaseOption = "",
    platform: PlatformOption = "",
    tool: ToolOption = "",
) -> None:
    """Push the images to an environment's registry, and write down which ones it runs.

    What the registry has is not pushed again; what is not built yet is built. The digests go into
    images.<env>.yaml beside the environment's document: check it in, and run `millwright up`.
    """
    from functools import cache

    from images.publish import Publisher, record
    from images.tools import choose

    where = project(either(environment, named), outputs=outputs)
    wanted = recipes(image, base, platform)
    publisher = Publisher(
        registry_of(where), cache(lambda: choose(tool)), logs_of(where), output.say
    )
    pushed = {recipe.name: publisher.push(recipe) for recipe in wanted}
    written = record(where.folder, where.name, {name: kept for name, (kept, _) in pushed.items()})
    path = PushedImages.path(where.folder, where.name)
    output.result(
        {"file": str(path), **written.model_dump(mode="json")},
        lambda console: console.print(
            table(
                f"In the registry of {where.name}",
                ("image", "reference", ""),
                [
                    (name, kept.reference, "[green]pushed[/]" if new else "[dim]was there[/]")
                    for name, (kept, new) in pushed.items()
                ],
            )
        ),
    )
    output.say(f"\n    written to {path}; `millwright up {where.name}` makes it run them")


@images_app.command("list")
def list_(
    environment: EitherName = "",
    named: EnvironmentOption = "",
    outputs: OutputsOption = "",
    image: ImageOption = None,
    base: BaseOption = "",
    platform: PlatformOption = "",
    tool: ToolOption = "",
) -> None:
    """Show which images are built here, which the registry has, and which the environment runs."""
    from images.publish import standing

    where = project(either(environment, named), outputs=outputs)
    builder, registry, problems = asked(where, tool)
    used = PushedImages.read(where.folder, where.name)
    pushed = used.images if used else {}
    rows = [
        standing(recipe, builder, registry, pushed.get(recipe.name))
        for recipe in recipes(image, base, platform)
    ]
    output.result(
        {
            "environment": where.name,
            "problems": problems,
            "images": [facts(row) for row in rows],
        },
        lambda console: console.print(
            table(
                f"Images of {where.name}",
                ("image", "content", "here", "registry", "environment runs", ""),
                [cells(row, builder, registry) for row in rows],
            )
        ),
    )
    for problem in problems:
        output.say(f"    [dim]{problem}[/]")


def asked(where: Project, tool: str) -> tuple[Tool | None, Registry | None, list[str]]:
    """What builds here and the environment's registry, as far as they are there; and why not."""
    from images.tools import choose

    builder, registry, problems = None, None, []
    try:
        builder = choose(tool)
    except ImageError as error:
        problems.append(f"this machine is not asked: {error.what}")
    try:
        registry = registry_of(where)
    except MillwrightError as error:
        problems.append(f"the registry is not asked: {error.what}")
    return builder, registry, problems


def cells(row: Standing, builder: Tool | None, registry: Registry | None) -> tuple[str, ...]:
    """An image's row for people."""
    here = f"{row.here / MEGABYTE:.0f} MB" if row.here is not None else "not built"
    kept = row.kept.digest[:19] if row.kept else "not pushed"
    if row.current:
        verdict = "[green]current[/]"
    else:
        verdict = "[yellow]other content[/]" if row.used else "[dim]by tag[/]"
    return (
        row.name,
        row.tag,
        here if builder else "[dim]?[/]",
        kept if registry else "[dim]?[/]",
        row.used.tag if row.used else "",
        "[red]not in the registry[/]" if row.lost else verdict,
    )


def facts(row: Standing) -> dict[str, object]:
    """An image's row for machines."""
    return {
        "name": row.name,
        "tag": row.tag,
        "bytes_here": row.here,
        "digest_in_registry": row.kept.digest if row.kept else None,
        "used": row.used.model_dump(mode="json") if row.used else None,
        "current": row.current,
        "lost": row.lost,
    }
