"""Files that a script writes: how YAML is laid out in them, and whether they are up to date."""

from pathlib import Path

import yaml

LINE_LENGTH = 120

_ROOT = Path(__file__).resolve().parents[1]


class Dumper(yaml.SafeDumper):
    """Writes every value out: an alias for what happens to be equal would only puzzle a reader."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the parent's signature
        """Return True: no value is written as a reference to another."""
        return True


def dump(content: object, *, dumper: type[Dumper] = Dumper) -> str:
    """Return the YAML of a document, its keys in their own order."""
    return yaml.dump(content, Dumper=dumper, sort_keys=False, width=LINE_LENGTH, allow_unicode=True)


def find_differences(files: dict[Path, str]) -> list[Path]:
    """Return the paths whose content is not the given one."""
    return [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def bring_up_to_date(files: dict[Path, str], *, is_check: bool) -> list[Path]:
    """Write the files that differ, or only name them in a check; return their paths."""
    changed = find_differences(files)
    for path in changed:
        print(f"{'differs' if is_check else 'written'}: {path.relative_to(_ROOT)}")
        if not is_check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
    return changed
