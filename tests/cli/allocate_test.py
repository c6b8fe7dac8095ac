"""Another budget from the prices of a run: solved without the model, and as good as a run of its own."""

import csv
import json
import os
import shutil

from program import CALIBRATION, MODEL, check, check_error, finish, folder, strata

DATA = ["--dataset", CALIBRATION, "--nsamples", "8", "--seqlen", "64"]
MENU = ["--formats", "NVFP4A16,MXFP8A16,BF16", *DATA]


def predicted(prices, linears):
    """KL by docs/method.md: prices add up, jumps where tokens change experts as lengths at right angles."""
    costs = squares = 0
    for unit in prices["units"]:
        by_format = {option["format"]: option["cost"] for option in unit["options"]}
        cost = by_format[linears[unit["unit"]]["format"]]
        costs += cost
        if "jump" in unit:
            squares += unit["jump"]["nats"] ** 2 * cost / by_format[unit["jump"]["format"]]
    return costs + squares ** 0.5


def files_of(output):
    """Bytes of every file, by its path, but for what a run chose by."""
    found = {}
    for place, _, names in os.walk(output):
        if os.path.basename(place) == "strata":
            continue
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                found[os.path.relpath(os.path.join(place, name), output)] = file.read()
    return found


def rows_of(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


with folder() as temporary:
    def at(*names):
        return os.path.join(temporary, *names)

    def quantize(name, *options):
        return strata("quantize", model, "-o", at(name), *options, "--json")

    model = at("model")
    shutil.copytree(MODEL, model)
    first = quantize("six", "-b", "6", *MENU)
    check(first.code == 0, "a run with a budget", first)
    said = first.json()
    check(said["bits_asked"] == 6 and 5.5 < said["bits_reached"] <= 6, "bits asked and reached", said)
    check(said["bytes_of_the_units"] <= said["budget_of_the_units"], "bytes asked and used", said)
    check(0 < said["predicted_KL"] < 1 and said["standard_error"] > 0 and said["gap_to_the_best"] >= 0, "prediction", said)
    check("NVFP4A16" in said["experts_Linears"] and said["router_Linears"] == "KEEP 4", "formats by kind", said)
    check([f"sensitive_{i}" in said for i in range(1, 12)] == [True] * 10 + [False], "ten sensitive units", said)
    work = at("six.work")
    with open(os.path.join(work, "prices.json"), encoding="utf-8") as file:
        prices = json.load(file)
    print_of = prices["fingerprint"]
    with open(os.path.join(work, "assignment.json"), encoding="utf-8") as file:
        check(json.load(file)["prices"] == print_of, "the assignment says by which prices it was chosen")
    check({row["prices"] for row in rows_of(os.path.join(work, "costs.csv"))} == {print_of}, "and so does costs.csv")

    os.rename(model, at("away"))  # from here on nothing reads weights
    same = strata("allocate", work, "-b", "6", "-o", at("a6.json"))
    check(same.code == 0 and "predicted KL" in same.out and "sensitive 10" in same.out, "allocate prints the choice", same)
    check(f"--assignment {at('a6.json')}" in same.out, "and how to use it", same)
    with open(at("a6.json"), encoding="utf-8") as a, open(os.path.join(work, "assignment.json"), encoding="utf-8") as b:
        # Bytes of each Linear are not known without the model.
        written = json.load(b)
        for linear in written["linears"].values():
            del linear["bytes"]
        check(json.load(a) == written, "the same budget gives the same assignment")
    five = strata("allocate", work, "-b", "5", "-o", at("a5.json"), "--json")
    check(five.code == 0 and five.json()["bits_asked"] == 5 and five.json()["bits"] <= 5, "another budget", five)
    check(five.json()["predicted_kl"] > said["predicted_KL"], "less bytes cost more", five)
    check(len(five.json()["sensitive"]) == 10 and five.json()["prices"] == print_of, "keys of --json", five)
    check_error(strata("allocate", work, "-b", "5", "-o", at("a5.json")), 2, "a5.json", "exists already", "--force")
    check(strata("allocate", work, "-b", "5", "-o", at("a5.json"), "--force").code == 0, "--force")
    check("-o FILE writes one" in strata("allocate", work, "-b", "5").out, "nothing is written unless it is asked for")
    careful = strata("allocate", work, "-b", "5", "--risk", "3", "--json").json()
    check(careful["predicted_kl"] >= five.json()["predicted_kl"], "risk may cost in the mean", careful)

    classical = strata("allocate", work, "-b", "5", "--price", "fisher-trace", "--json").json()
    check(classical["price"] == "fisher-trace" and classical["bits"] <= 5, "another price", classical)
    check(classical["predicted_kl"] >= five.json()["predicted_kl"], "what it is judged by stays the output", classical)

    table = strata("allocate", work, "--pareto", "4.75:6.75:0.5")
    check(table.code == 0 and len(table.out.split("\n")) == 9 and "units changed" in table.out, "--pareto", table)
    rows = rows_of(os.path.join(work, "pareto.csv"))
    check([row["bits_asked"] for row in rows] == ["4.75", "5.25", "5.75", "6.25", "6.75"], "budgets of pareto.csv", rows)
    check(all(float(row["bits"]) <= float(row["bits_asked"]) for row in rows), "each is met from below", rows)
    kls = [float(row["predicted_kl"]) for row in rows]
    check(kls == sorted(kls, reverse=True) and {row["prices"] for row in rows} == {print_of}, "pareto.csv", rows)
    points = strata("allocate", work, "--pareto", "4.75:6.75:0.5", "-o", at("p.csv"), "--json").json()["points"]
    check([point["unit_bytes"] for point in points] == [int(row["unit_bytes"]) for row in rows], "--pareto --json", points)
    check(rows_of(at("p.csv")) == rows, "-o of --pareto")

    smallest = strata("allocate", work, "--target-size", "1000")
    check_error(smallest, 2, "--target-size 1000: the smallest that", "most for model.layers", "say --target-size")
    size = smallest.err.split()[-1]
    least = strata("allocate", work, "--target-size", size, "--json").json()
    check(least["tensor_bytes"] == least["tensor_bytes_asked"] == int(size), "the smallest that is named works", least)
    check_error(strata("allocate", work, "-b", "3"), 2, "the smallest that", "say -b 4.")
    check_error(strata("allocate", work), 2, "say one of -b BITS, --target-size SIZE, --pareto", "none")
    check_error(strata("allocate", work, "-b", "5", "--pareto", "5:6:1"), 2, "several")
    check_error(strata("allocate", work, "--pareto", "6:5:1"), 2, "--pareto")
    check_error(strata("allocate", at("away"), "-b", "5"), 5, "holds no prices.json")
    shutil.copytree(work, at("broken"))
    with open(at("broken", "prices.json"), "w", encoding="utf-8") as file:
        json.dump({**prices, "units": []}, file)
    check_error(strata("allocate", at("broken"), "-b", "5"), 5, "prices.json: \"units\" is empty")
    with open(at("broken", "prices.json"), "w", encoding="utf-8") as file:
        json.dump({**prices, "tokens": "many"}, file)
    check_error(strata("allocate", at("broken"), "-b", "5"), 5, "prices.json: the document has no whole number \"tokens\"")

    # What somebody has edited, by the same prices: an attention output in 8 bits, which is a unit of its own.
    with open(at("a5.json"), encoding="utf-8") as file:
        mine = json.load(file)
    unit = "model.layers.2.self_attn.o_proj"
    options = {option["format"]: option for option in next(one for one in prices["units"] if one["unit"] == unit)["options"]}
    before = options[mine["linears"][unit]["format"]]
    other = "MXFP8A16" if before["format"] != "MXFP8A16" else "NVFP4A16"
    mine["linears"][unit]["format"] = other
    with open(at("mine.json"), "w", encoding="utf-8") as file:
        json.dump(mine, file)
    told = strata("allocate", work, "--assignment", at("mine.json"), "--json").json()
    check(told["unit_bytes"] == five.json()["unit_bytes"] - before["bytes"] + options[other]["bytes"], "its bytes", told)
    cost = predicted(prices, mine["linears"])
    check(abs(told["predicted_kl"] / cost - 1) < 1e-9 and told["standard_error"] > 0, "its predicted KL", (told, cost))
    check(told["best_predicted_kl"] <= told["predicted_kl"] and told["gap"] is None, "beside the best of as many bytes", told)
    check("best of as many bytes" in strata("allocate", work, "--assignment", at("mine.json")).out, "and as a table")
    os.rename(at("away"), model)
    assembled = strata("quantize", "--from", work, "--assignment", at("mine.json"), "-o", at("mine"), "--json")
    check(assembled.code == 0 and quantize("mine-again", "--assignment", at("mine.json"), *DATA).code == 0, "--from takes it", assembled)
    check(files_of(at("mine")) == files_of(at("mine-again")), "and writes what a run from the source writes")

    # The assignment gives the bytes that a run with the budget gives.
    files = files_of(at("six"))
    check(quantize("again", "--assignment", at("a6.json"), *DATA).code == 0, "quantize takes the assignment")
    check(files_of(at("again")) == files, "its output is that of the budget")
    check(quantize("five", "-b", "5", *MENU).code == 0 and quantize("five-again", "--assignment", at("a5.json"), *DATA).code == 0,
          "the same for another budget")
    check(files_of(at("five")) == files_of(at("five-again")) != files, "another budget, another output")

    # Bytes of all tensors.
    sized = quantize("sized", "--target-size", "1800000", *MENU)
    check(sized.code == 0 and sized.json()["tensor_bytes_asked"] == 1800000, "--target-size", sized)
    tensors = strata("inspect", at("sized"), "--json").json()["bytes"]
    check(tensors == sized.json()["tensor_bytes"] and 1700000 < tensors <= 1800000, "it counts every tensor", (tensors, sized))

    # What an edit may not do.
    with open(at("a6.json"), encoding="utf-8") as file:
        edited = json.load(file)
    for wrong, name, texts in [("split", "model.layers.0.self_attn.q_proj", ("a-split.json:", "served as one matrix")),
                               ("unknown", "model.layers.0.self_attn.x_proj", ("a-unknown.json:", "is none of the"))]:
        linears = {**edited["linears"], name: {"format": "MXFP8A16"}}
        with open(at(f"a-{wrong}.json"), "w", encoding="utf-8") as file:
            json.dump({**edited, "linears": linears}, file)
        check_error(quantize("edited", "--assignment", at(f"a-{wrong}.json"), *DATA), 5, name, *texts)
        check_error(strata("allocate", work, "--assignment", at(f"a-{wrong}.json")), 5, name, *texts)

    # Too little data is said, and with --strict an error.
    short = ["-b", "6", "--formats", "NVFP4A16,MXFP8A16,BF16", "--dataset", CALIBRATION, "--nsamples", "2", "--seqlen", "8"]
    told = quantize("short", *short)
    check(told.code == 0 and "2 windows are too few" in told.err and "--nsamples" in told.err, "too few windows are told", told)
    check_error(quantize("strict", *short, "--strict"), 5, "--strict: 2 windows are too few")
finish()
