"""The tables of README.md, from results.json; each stands between two comments that name it."""

from .processes import BENCH


def write(results):
    path = BENCH / "README.md"
    text = path.read_text()
    for name, section, table in (
        ("run", "peers", side_by_side),
        ("ours", "ours", ours),
        ("growth", "growth", growth),
        ("start", "start", start),
    ):
        if section in results:
            before, opening, rest = text.partition(f"<!-- {name} -->\n")
            _, closing, after = rest.partition(f"<!-- /{name} -->")
            lines = "\n".join([caption(results[section]), "", *table(results[section])])
            text = f"{before}{opening}{lines}\n{closing}{after}"
    path.write_text(text)


def caption(section):
    machine = section["machine"]
    return f"{section['date']}, {machine['cores']} shared {machine['arch']} cores, {section['rounds']} rounds."


def side_by_side(section):
    yield "| | CPU per token | tokens/s | p50, p99 | one connection: p50, p99 | its calmest p99 | resident |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for name, row in section["candidates"].items():
        many, one = row["connections_16"], row["connections_1"]
        yield (
            f"| {name} | {time(many['cpu_us'])} | {many['per_second']:.0f} | {time(many['p50_us'])}, {time(many['p99_us'])}"
            f" | {time(one['p50_us'])}, {time(one['p99_us'])} | {time(row['calmest_p99_us'])} | {many['resident_mb']:.0f} MB |"
        )
    for alg, cost in section["signatures_us"].items():
        yield f"| bare {alg} signature (openssl) | {time(cost)} | | | | | |"
    for name, why in section["missing"].items():
        yield f"| {name} | not measured: {why} | | | | | |"


def ours(section):
    yield "| | CPU per token | tokens/s | resident |"
    yield "|---|--:|--:|--:|"
    for name, row in section["candidates"].items():
        many = row["connections_16"]
        yield f"| {name} | {time(many['cpu_us'])} | {many['per_second']:.0f} | {many['resident_mb']:.0f} MB |"


def growth(section):
    yield "| | CPU per token | spread |"
    yield "|---|---|--:|"
    rows = {f"clients in the table: {name}": row for name, row in section["table"].items() if name != "restart"}
    rows |= {f"secrets of the client: function, {alg}": row for alg, row in section["secrets"].items()}
    rows["keys in the ring: function"] = section["keys"]
    rows |= {f"connections: http, {alg}": row for alg, row in section["connections"].items()}
    for name, row in rows.items():
        figures = ", ".join(f"{int(step):,}: {time(cost)}" for step, cost in row.items())
        yield f"| {name} | {figures} | {100 * (max(row.values()) / min(row.values()) - 1):.0f} % |"
    for title, name in (("look-up: function", "lookup"), ("hash of the secret, client cached: function", "hashes")):
        if name in section:
            yield f"| {title} | {', '.join(f'{step}: {time(cost)}' for step, cost in section[name].items())} | |"
    yield ""
    yield "| the function has met | resident |"
    yield "|---|--:|"
    for mark, kb in section["memory"].items():
        yield f"| {mark} | {kb / 1e3:.1f} MB |"
    yield ""
    yield "| `mintlet serve` starts with | takes, and memory at its peak |"
    yield "|---|---|"
    for size, took in section["table"]["restart"].items():
        yield f"| {int(size):,} clients | {took} |"


def start(section):
    yield "| | exec to first /next | exec to first answer | CPU of that | page faults | first invoke | second | warm | resident |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    hello = section["functions"]["hello"]
    for name, row in section["functions"].items():
        wall, cpu = (row[key] / hello[key] for key in ("first_answer_us", "first_answer_cpu_us"))
        yield (
            f"| {name} | {time(row['next_us'])} | {time(row['first_answer_us'])} ({wall:.2f} x)"
            f" | {time(row['first_answer_cpu_us'])} ({cpu:.2f} x) | {row['first_answer_faults']:.0f}"
            f" | {time(row['first_invoke_us'])} | {time(row['second_invoke_us'])} | {time(row['warm_invoke_us'])}"
            f" | {row['peak_kb'] / 1e3:.1f} MB |"
        )
    for name, size in section["sizes"].items():
        yield f"| {name}: {size['binary_mb']:.2f} MB, zipped {size['zip_mb']:.2f} MB | | | | | | | | |"


def time(us):
    if us >= 1_000_000:
        return f"{us / 1e6:.3g} s"
    if us >= 1000:
        return f"{us / 1000:.3g} ms"
    return f"{us:.3g} µs" if us < 100 else f"{us:.0f} µs"
