"""What a payment and a refund may do. Pure: no gRPC, no SQL, no clock."""
