"""What a seat and a reservation may do. Pure: no gRPC, no SQL, no clock."""
