"""The tables of queues of messages."""

from __future__ import annotations

from fargsim.record.column import Table, instant, real, text, whole

QUEUES = Table(
    "queues",
    "One row per queue and period. Since the run began, sent + moved in = deleted + dead-lettered + expired + visible + in flight.",
    ("queue", "period_start_at"),
    (
        instant("period_start_at", "Start of the period."),
        real("period_s", "s", "Length of the period."),
        text("queue", "Name of the queue."),
        whole("sent", "messages", "Messages sent to it in the period (NumberOfMessagesSent)."),
        whole("moved_in", "messages", "Messages that came from queues whose dead-letter queue it is."),
        whole("received", "receives", "Messages received, repeated receives included (NumberOfMessagesReceived)."),
        whole("received_again", "receives", "Receives of messages that had been received before."),
        whole("deleted", "messages", "Messages worked to the end and deleted (NumberOfMessagesDeleted)."),
        whole(
            "failed", "receives", "Receives whose work failed: the message comes back after its visibility time-out."
        ),
        whole("late", "receives", "Receives whose work ended when somebody else had the message: it was for nothing."),
        whole("dead_lettered", "messages", "Messages received too often and moved to the dead-letter queue."),
        whole("expired", "messages", "Messages dropped because their retention period had passed."),
        whole("visible", "messages", "Messages that wait, at the end (ApproximateNumberOfMessagesVisible)."),
        whole(
            "in_flight", "messages", "Messages received and hidden, at the end (ApproximateNumberOfMessagesNotVisible)."
        ),
        real("visible_mean", "messages", "Messages that wait, averaged over the period."),
        real("oldest_age_s", "s", "Age of the oldest message at the end (ApproximateAgeOfOldestMessage)."),
        real("completion_mean_s", "s", "Mean time from sending to deleting, of the messages deleted.", nullable=True),
        real("completion_p50_s", "s", "Median of that time.", nullable=True),
        real("completion_p95_s", "s", "95th percentile of that time.", nullable=True),
        real("completion_p99_s", "s", "99th percentile of that time.", nullable=True),
        real("completion_max_s", "s", "Longest such time.", nullable=True),
    ),
)

MESSAGE_LATENCIES = Table(
    "message_latencies",
    "One row per non-empty bucket of a queue's histogram of the times from sending to deleting, over the run.",
    ("queue", "lower_us"),
    (
        text("queue", "Name of the queue."),
        real("lower_us", "us", "Lower edge of the bucket, included."),
        real("upper_us", "us", "Upper edge of the bucket, excluded."),
        whole("messages", "messages", "Messages deleted after a time in `[lower_us, upper_us)`."),
    ),
)
