"""What any of the programs needs: servers, channels, databases, settings, errors, clocks.

It knows gRPC, SQL and clocks. It does not know bookings, payments or seats.
"""
