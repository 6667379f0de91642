"""What a booking may do. Pure: no gRPC, no SQL, no clock."""
