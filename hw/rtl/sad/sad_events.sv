// Event queue of sad: takes all events of one operation at once (a mask) and gives them one after the other, lowest
// type first. 16 operations deep; room_o falls while there is room for the operations that are under way then.
// It walks over the types, one a cycle: 9 cycles an operation with events, of which an SA has a handful in its life.
module sad_events (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        valid_i,
  output logic        room_o,      // of the cycle before: room for 7 more
  input  logic [8:0]  mask_i,      // bit n: event type n + 1
  input  logic [31:0] index_i,
  input  logic [31:0] spi_i,
  input  logic [31:0] bytes_i,     // arguments: of the byte events,
  input  logic [31:0] packets_i,   // of the packet events,
  input  logic [31:0] age_i,       // of the second events,
  input  logic [31:0] seq_i,       // of the number events
  output logic        ev_valid_o,
  input  logic        ev_ready_i,
  output logic [7:0]  ev_type_o,
  output logic [31:0] ev_index_o,
  output logic [31:0] ev_spi_o,
  output logic [31:0] ev_arg_o
);
  logic         full_n, head_valid, head_pop;
  logic [200:0] head;
  logic [4:0]   level;
  logic [8:0]   left_q;            // bit 0: an event of type_q is to be given
  logic [3:0]   type_q;
  logic         loaded_q;
  logic [191:0] body_q;
  logic         step, room_q;

  stream_fifo #(.Width(201), .Depth(16)) u_fifo (
    .clk_i(clk_i), .rst_ni(rst_ni), .valid_i(valid_i && mask_i != '0), .ready_o(full_n),
    .data_i({mask_i, index_i, spi_i, bytes_i, packets_i, age_i, seq_i}),
    .valid_o(head_valid), .ready_i(head_pop), .data_o(head), .level_o(level)
  );
  assign room_o   = room_q;
  assign step     = !left_q[0] || ev_ready_i;
  assign head_pop = !loaded_q || (step && type_q == 4'd9);
  always_ff @(posedge clk_i) room_q <= level <= 5'd8;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) loaded_q <= 1'b0;
    else if (head_pop) loaded_q <= head_valid;
  end
  always_ff @(posedge clk_i) begin
    if (head_pop) begin
      left_q <= head[200:192];
      type_q <= 4'd1;
      body_q <= head[191:0];
    end else if (step) begin
      left_q <= left_q >> 1;
      type_q <= type_q + 4'd1;
    end
  end
  assign ev_valid_o = loaded_q && left_q[0];
  assign ev_type_o  = {4'd0, type_q};
  assign ev_index_o = body_q[191:160];
  assign ev_spi_o   = body_q[159:128];
  always_comb begin
    case (ev_type_o)
      card_pkg::EventTypeSoftBytes, card_pkg::EventTypeHardBytes:     ev_arg_o = body_q[127:96];
      card_pkg::EventTypeSoftPackets, card_pkg::EventTypeHardPackets: ev_arg_o = body_q[95:64];
      card_pkg::EventTypeSoftSeconds, card_pkg::EventTypeHardSeconds: ev_arg_o = body_q[63:32];
      card_pkg::EventTypeSeqSoon, card_pkg::EventTypeSeqOverflow:     ev_arg_o = body_q[31:0];
      default:                                                        ev_arg_o = 32'd1 << card_pkg::ErrorCauseSaParityLsb;
    endcase
  end
  logic unused;
  assign unused = full_n;
`ifdef FORMAL
  always @(posedge clk_i) if (rst_ni) assert (!valid_i || full_n || mask_i == '0);
`endif
endmodule
