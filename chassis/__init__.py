"""What any of the programs needs: servers, channels, databases, settings, errors, clocks.

It knows gRPC, SQL, clocks, money and cards. It does not know bookings, payments or seats.
"""
