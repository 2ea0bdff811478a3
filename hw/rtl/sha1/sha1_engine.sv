// SHA-1 blocks of independent messages, several at a time: Units iterative cores behind one port.
// A block comes back with its tag after a fixed latency, so results are in order of acceptance and never collide.
// The port is that of a pipelined core too: only ready_o would differ.
module sha1_engine #(
  parameter int Units    = 8,
  parameter int TagWidth = 8
) (
  input  logic                clk_i,
  input  logic                rst_ni,   // synchronous; drops all blocks
  input  logic                valid_i,
  output logic                ready_o,
  input  logic [TagWidth-1:0] tag_i,
  input  logic [159:0]        state_i,
  input  logic [511:0]        block_i,
  output logic                valid_o,  // one cycle; no backpressure
  output logic [TagWidth-1:0] tag_o,
  output logic [159:0]        state_o
);
  logic [Units-1:0]          unit_ready, unit_valid, start;
  logic [TagWidth*Units-1:0] unit_tag;
  logic [160*Units-1:0]      unit_state;

  assign ready_o = |unit_ready;
  assign start   = valid_i ? unit_ready & (~unit_ready + 1'b1) : '0;  // the lowest free unit

  for (genvar u = 0; u < Units; u++) begin : gen_unit
    logic [TagWidth-1:0] tag_q;
    always_ff @(posedge clk_i) if (start[u]) tag_q <= tag_i;
    assign unit_tag[TagWidth*u +: TagWidth] = tag_q;
    sha1_core u_core (
      .clk_i(clk_i), .rst_ni(rst_ni),
      .valid_i(start[u]), .ready_o(unit_ready[u]), .state_i(state_i), .block_i(block_i),
      .valid_o(unit_valid[u]), .state_o(unit_state[160*u +: 160])
    );
  end

  // At most one unit is done in a cycle, because at most one started in a cycle: gather into a register.
  logic                valid_q;
  logic [TagWidth-1:0] tag_d, tag_q;
  logic [159:0]        state_d, state_q;
  always_comb begin
    tag_d   = '0;
    state_d = '0;
    for (int u = 0; u < Units; u++) begin
      if (unit_valid[u]) begin
        tag_d   = tag_d | unit_tag[TagWidth*u +: TagWidth];
        state_d = state_d | unit_state[160*u +: 160];
      end
    end
  end
  always_ff @(posedge clk_i) valid_q <= rst_ni && (|unit_valid);
  always_ff @(posedge clk_i) begin
    if (|unit_valid) begin
      tag_q   <= tag_d;
      state_q <= state_d;
    end
  end
  assign valid_o = valid_q;
  assign tag_o   = tag_q;
  assign state_o = state_q;
endmodule
