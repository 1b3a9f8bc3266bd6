"""What the troubleshooting guide says of each issue. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Issue(NamedTuple):
    """`symptoms` as the guide lists them."""

    title: str
    symptoms: tuple[str, ...]


ISSUES = {
    "1.1": Issue(
        "API Key Not Working",
        ('Error: "Invalid API key provided"', "HTTP 401 errors in logs", "Failed Stripe API calls"),
    ),
    "1.2": Issue(
        "Webhook Signature Verification Failures",
        (
            'Error: "No signatures found matching the expected signature"',
            "Webhooks rejected with 400 status",
            "Events not processing",
        ),
    ),
    "1.3": Issue(
        "Rate Limiting Errors", ('Error: "Rate limit exceeded"', "HTTP 429 responses", "Intermittent API failures")
    ),
    "1.4": Issue(
        "Network Connectivity Problems",
        ('Error: "Connection timeout"', 'Error: "Network is unreachable"', "Intermittent failures"),
    ),
    "2.1": Issue("Metrics Not Recording", ("Zero usage reported", "Missing data in dashboard", "Stale usage numbers")),
    "2.2": Issue(
        "Usage Aggregation Delays",
        ("Dashboard shows old data", "Usage numbers lag behind reality", "Billing calculations delayed"),
    ),
    "2.3": Issue(
        "Incorrect Usage Calculations",
        ("Usage numbers don't match actual", "Discrepancies between logs and billing", "Over/under reporting"),
    ),
    "2.4": Issue(
        "Missing Data Points",
        ("Gaps in usage timeline", "Incomplete usage history", "Missing metrics for certain periods"),
    ),
    "3.1": Issue(
        "Subscription Creation Failures",
        ('Error: "Unable to create subscription"', 'Subscription stuck in "incomplete"', "Payment method not attached"),
    ),
    "3.2": Issue(
        "Payment Method Issues",
        ('Error: "Your card was declined"', 'Error: "Payment method not found"', "Unable to update payment method"),
    ),
    "3.3": Issue(
        "Proration Calculation Errors", ("Incorrect proration amounts", "Unexpected charges", "Wrong billing dates")
    ),
    "3.4": Issue(
        "Trial Period Not Working", ("Trial not applied", "Immediate charges during trial", "Wrong trial end date")
    ),
    "3.5": Issue(
        "Cancellation Not Processing",
        ("Subscription still active after cancel", "User still has access", "Billing continues"),
    ),
    "4.1": Issue(
        "Invoice Generation Failures",
        ('Error: "Unable to create invoice"', "Missing invoices", "Draft invoices not finalizing"),
    ),
    "4.2": Issue(
        "Incorrect Line Items", ("Wrong prices on invoice", "Duplicate line items", "Missing expected charges")
    ),
    "4.3": Issue("Tax Calculation Errors", ("Wrong tax amount", "Missing tax", "Tax rate not applied")),
    "4.4": Issue(
        "PDF Generation Problems", ("PDF not generating", "Broken PDF links", "Missing invoice details in PDF")
    ),
    "4.5": Issue(
        "Email Delivery Failures",
        ("Invoices not sent to customers", "Email errors in logs", "Customers not receiving receipts"),
    ),
    "5.1": Issue(
        "Quotas Not Enforcing", ("Users exceeding limits", "No quota warnings", "Overage charges not applied")
    ),
    "5.2": Issue(
        "False Quota Violations",
        ("Users blocked incorrectly", "Quota shows exceeded but shouldn't", "Usage numbers don't match logs"),
    ),
    "5.3": Issue(
        "Quota Reset Not Working",
        ("Quotas not resetting at period end", "Users still blocked after reset", "Wrong reset timestamps"),
    ),
    "5.4": Issue(
        "Overage Calculation Incorrect",
        ("Wrong overage charges", "No overage charges when expected", "Incorrect overage amounts"),
    ),
    "6.1": Issue(
        "Webhooks Not Being Received",
        ("Events not processing", "Subscription updates not reflected", "Payment status not updating"),
    ),
    "6.2": Issue(
        "Duplicate Webhook Processing",
        ("Same event processed multiple times", "Duplicate charges", "Multiple emails sent"),
    ),
    "6.3": Issue(
        "Webhook Timeout Errors", ("Stripe shows timeout errors", "Webhooks marked as failed", "Retries exhausted")
    ),
    "6.4": Issue(
        "Event Ordering Issues", ("Events processed out of order", "State inconsistencies", "Subscription status wrong")
    ),
    "7.1": Issue(
        "Database and Stripe Out of Sync",
        ("Data mismatch between systems", "Subscription shows different status", "Customer info inconsistent"),
    ),
    "7.2": Issue(
        "Missing Customers or Subscriptions",
        (
            "Customer exists in Stripe but not database",
            "Subscription not found locally",
            "User can't access billing info",
        ),
    ),
    "7.3": Issue(
        "Reconciliation Failures", ("Reconciliation job failing", "Too many discrepancies", "Sync taking too long")
    ),
    "8.1": Issue(
        "Slow Billing Operations", ("API requests timing out", "Webhook processing slow", "Dashboard loading slowly")
    ),
    "8.2": Issue("Database Query Performance", ("Queries taking seconds", "High database CPU", "Blocked transactions")),
    "8.3": Issue(
        "High Memory Usage", ("Out of memory errors", "Container restarts", "Slow performance", "Swap usage high")
    ),
    "8.4": Issue(
        "Timeout Issues", ("Request timeout errors", "Gateway timeout (504)", "Long-running operations failing")
    ),
    "9.1": Issue(
        "Test Mode Not Working",
        ("Test charges creating real payments", "Can't switch to test mode", "Test data in production"),
    ),
    "9.2": Issue(
        "Sandbox Data Issues", ("Test customers not appearing", "Sandbox data not seeding", "Sample data errors")
    ),
    "9.3": Issue(
        "Mock Stripe Problems", ("Mock server not responding", "Test webhooks not firing", "Invalid mock responses")
    ),
}
"""`1.1` -> what it is called and how it shows."""
