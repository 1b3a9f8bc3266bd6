"""What can be wrong with the usage of all users."""

from nself.core.errors import Conflict


class NotCounted(Conflict):
    code, guide, param = "shares_not_counted", "2.1", "by"
    text = "The usage of {month} was not counted by {by} yet; that is done every hour"
    hints = ("nself billing jobs list --type usage_shares", "nself billing usage totals --period {month} --by day")
