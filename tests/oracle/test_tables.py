"""The two tiers' tables: against slower readings of the same rules, and their promises."""

import decimal
import random
import unittest

from spillway_oracle import hrw, maglev, nodehrw
from spillway_oracle.maglev import Member
from spillway_oracle.vectors.tables import DISRUPTION, changes, mixed, small_cases, spread


def literal_table(members, rows):
    """Maglev word for word: permutations written out, searched from the start each time."""
    orders = [[(o + j * s) % rows for j in range(rows)] for o, s in (maglev.preference(m, rows) for m in members)]
    largest, owners, credit = max(m.weight for m in members), {}, {m: 0 for m in members}
    while len(owners) < rows:
        for index, member in enumerate(members):
            credit[member] += member.weight
            if credit[member] >= largest and len(owners) < rows:
                credit[member] -= largest
                owners[next(row for row in orders[index] if row not in owners)] = index
    return [owners[row] for row in range(rows)]


class Maglev(unittest.TestCase):
    def test_small_tables_word_for_word(self):
        for about, rows, endpoints in small_cases():
            members = maglev.members_of(endpoints)
            self.assertEqual(maglev.table(members, rows), literal_table(members, rows), about)

    def test_preferences_are_permutations(self):
        for member in mixed(9):
            offset, skip = maglev.preference(member, 512)
            self.assertEqual(len({(offset + j * skip) % 512 for j in range(512)}), 512)

    def test_equal_members_differ_by_one_row_at_most(self):
        counts = maglev.counts(maglev.table(maglev.members_of(spread(100, lambda i: 1)), 65536), 100)
        self.assertEqual((min(counts), max(counts), sum(counts)), (655, 656, 65536))

    def test_shares_follow_weights(self):
        members = maglev.members_of(mixed(17, lambda i: 1 + i % 7))
        total = sum(m.weight for m in members)
        for member, held in zip(members, maglev.counts(maglev.table(members, 65536), 17)):
            self.assertLess(abs(held - 65536 * member.weight / total), 17)

    def test_order_of_configuration_is_nothing(self):
        endpoints = mixed(17, lambda i: 1 + i % 3)
        shuffled = random.Random(1).sample(endpoints, 17)
        self.assertEqual(maglev.members_of(endpoints), maglev.members_of(shuffled))

    def test_ipv4_sorts_as_mapped(self):
        members = maglev.members_of([Member("::1:0:0:1"), Member("203.0.113.1"), Member("::1"), Member("2001:db8::1")])
        self.assertEqual([m.address for m in members], ["::1", "203.0.113.1", "::1:0:0:1", "2001:db8::1"])

    def test_rows_must_be_a_power_of_two_in_range(self):
        for rows in (0, 128, 300, 1 << 21):
            with self.assertRaises(ValueError):
                maglev.table([Member("203.0.113.1")], rows)


def literal_hrw(members, rows):
    """Bounded HRW word for word: all scores of all rows first, then the walk past those who are full."""
    keys, weights = [nodehrw.member_key(m) for m in members], [m.weight for m in members]
    limits, owners = nodehrw.caps(weights, rows), {}
    for key, row in nodehrw.serving_order(rows):
        scores = [nodehrw.score(member, key, weight) for member, weight in zip(keys, weights)]
        ranked = sorted(range(len(members)), key=lambda index: scores[index])
        owners[row] = next(i for i in ranked if list(owners.values()).count(i) < limits[i])
    return [owners[row] for row in range(rows)]


class BoundedHrw(unittest.TestCase):
    def test_small_tables_word_for_word(self):
        for about, rows, endpoints in small_cases():
            members = maglev.members_of(endpoints)
            self.assertEqual(nodehrw.table(members, rows), literal_hrw(members, rows), about)

    def test_nobody_has_more_than_its_cap(self):
        members = maglev.members_of(mixed(40, lambda i: 1 + i % 7))
        limits = nodehrw.caps([m.weight for m in members], 1024)
        counts = maglev.counts(nodehrw.table(members, 1024), 40)
        self.assertTrue(all(held <= limit for held, limit in zip(counts, limits)))
        self.assertIn(0, [limit - held for held, limit in zip(counts, limits)])

    def test_caps_hold_all_rows(self):
        for weights in ([1], [1] * 1000, [65535, 1, 1], [7, 11, 13]):
            self.assertGreaterEqual(sum(nodehrw.caps(weights, 256)), 256)

    def test_scaling_all_weights_by_two_moves_nothing(self):
        members = maglev.members_of(mixed(9, lambda i: 1 + i % 3))
        doubled = [m._replace(weight=2 * m.weight) for m in members]
        self.assertEqual(nodehrw.table(members, 512), nodehrw.table(doubled, 512))

    def test_finaliser(self):
        """The first numbers of splitmix64 from seed 0, whose states are multiples of the golden ratio."""
        golden = 0x9E3779B97F4A7C15
        self.assertEqual(nodehrw.mix(golden), 0xE220A8397B1DCDAF)
        self.assertEqual(nodehrw.mix(2 * golden & nodehrw.WORD), 0x6E789E6AA1B965F4)

    def test_no_pair_of_scores_is_near_a_tie(self):
        """So a logarithm that differs in its last bits chooses the same."""
        for _, before, _ in changes():
            members = [(nodehrw.member_key(m), m.weight) for m in maglev.members_of(before)]
            for key, _ in nodehrw.serving_order(4096)[::16]:
                scores = sorted(nodehrw.score(member, key, weight) for member, weight in members)
                self.assertTrue(all(high - low > 1e-12 * high for low, high in zip(scores, scores[1:])))


class ClusterRows(unittest.TestCase):
    def test_shares_are_exact(self):
        rows = hrw.cluster_rows({"eu-1": 90, "us-1": 10})
        self.assertEqual((rows.count("eu-1"), rows.count("us-1")), (3686, 410))

    def test_largest_remainder_then_name(self):
        self.assertEqual(hrw.caps([(b"a", 1), (b"b", 1), (b"c", 1)]), [1366, 1365, 1365])
        self.assertEqual(hrw.caps([(b"a", 34), (b"b", 33), (b"c", 33)]), [1392, 1352, 1352])

    def test_documented_disruption(self):
        for name, documented, before, after in DISRUPTION:
            percent = 100 * hrw.moved(hrw.cluster_rows(before), hrw.cluster_rows(after)) / hrw.ROWS
            digits = len(documented.partition(".")[2])
            self.assertEqual(f"{percent:.{digits}f}", documented, name)

    def test_scaling_all_weights_moves_nothing(self):
        self.assertEqual(hrw.cluster_rows({"a": 3, "b": 1}), hrw.cluster_rows({"a": 300, "b": 100}))

    def test_no_pair_of_scores_is_near_a_tie(self):
        """So a logarithm that differs in its last bits chooses the same."""
        for _, _, before, after in DISRUPTION:
            for weights in (before, after):
                pools = [(name.encode(), weight) for name, weight in weights.items() if weight]
                for row in range(hrw.ROWS):
                    scores = sorted(hrw.score(*pool, row) for pool in pools)
                    for low, high in zip(scores, scores[1:]):
                        self.assertGreater(high - low, 1e-9 * high)

    def test_logarithm_to_thirty_digits(self):
        with decimal.localcontext(prec=30):
            for row in range(0, hrw.ROWS, 97):
                exact = -decimal.Decimal(hrw.unit(hrw.draw(b"eu-1", row))).ln() / 90
                self.assertLess(abs(decimal.Decimal(hrw.score(b"eu-1", 90, row)) / exact - 1), decimal.Decimal("1e-15"))

    def test_extremes_of_the_draw(self):
        self.assertEqual(hrw.unit(0), 2.0**-54)
        self.assertEqual(hrw.unit(2**64 - 1), 1.0)


if __name__ == "__main__":
    unittest.main()
