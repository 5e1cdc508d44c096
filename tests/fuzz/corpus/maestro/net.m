// A comment
Constant Tokens 128; /* another
of two lines */
Accelerator { PE { NumPEs: 16 } }
Network Small {
  Layer FC { Type: GEMM Dimensions { M: Tokens, N: 3072, K: 768 } Dataflow { SpatialMap(1,1) K; Cluster(4, P); } }
  Layer DW { Type: DSCONV Stride { X: 2, Y: 2 } Dimensions { K 1, C 32, R 3, S 3, Y 113, X 225 } }
  Layer UP { Type: TRCONV Dimensions { K: 8, C: 16, R: 2, S: 2, Y: 28, X: 28 } }
}
