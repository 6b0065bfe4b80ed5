"""The dialing core: plan (who is called) -> start (rows) -> handover (batches to the carrier) -> progress.

Every transaction that changes the calls of a call group locks the group's row first (:func:`locked`). So the count
triggers never meet in opposite order, and pausing or cancelling is exact: a batch is either claimed before it or not.
"""
