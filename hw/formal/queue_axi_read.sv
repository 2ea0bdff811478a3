// Proof bench of axi_read: three clients with requests of any length, a memory that answers only what was asked.
// Addresses have their place in the page and one bit above it: the others ride along.
module queue_axi_read #(
  parameter int MaxBursts = 2,
  parameter int MaxBeats  = 3    // of a request
) (
  input logic         clk_i,
  input logic         rst_ni,
  input logic         stop_i,
  input logic [2:0]   valid_i,
  input logic [23:0]  beats_i,
  input logic [20:0]  place_i,
  input logic         arready_i,
  input logic         rvalid_i,
  input logic [1:0]   rresp_i
);
  logic [191:0] addr;
  for (genvar i = 0; i < 3; i++) begin : gen_addr
    assign addr[64*i +: 64] = {51'd0, place_i[7*i +: 7], 6'd0};
  end
  logic [2:0]   ready, rsp;
  logic         idle, last, err, arvalid, rready;
  logic [511:0] data;
  logic [63:0]  rsp_addr, araddr;
  logic [7:0]   arlen;
  axi_read #(.MaxBursts(MaxBursts)) u_dut (
    .clk_i(clk_i), .rst_ni(rst_ni), .stop_i(stop_i), .idle_o(idle),
    .req_valid_i(valid_i), .req_ready_o(ready), .req_addr_i(addr), .req_beats_i(beats_i),
    .rsp_valid_o(rsp), .rsp_data_o(data), .rsp_last_o(last), .rsp_err_o(err), .rsp_addr_o(rsp_addr),
    .arvalid_o(arvalid), .arready_i(arready_i), .araddr_o(araddr), .arlen_o(arlen),
    .rvalid_i(rvalid_i), .rready_o(rready), .rdata_i(512'd0), .rresp_i(rresp_i)
  );
  logic       past_ok_q = 1'b0;
  logic [2:0] take;
  logic       beat, past_stop_q;
  logic [7:0] beats, asked_q, owed_q, sent_q, passed_q;  // asked: taken, not yet on AR; owed: on AR, not yet on R
  logic [1:0] wait_q;                // requests of others taken while client 2 waits
  assign take  = valid_i & ready;
  assign beats = take[0] ? beats_i[7:0] : take[1] ? beats_i[15:8] : take[2] ? beats_i[23:16] : 8'd0;
  assign beat  = rvalid_i && rready;
  always @(posedge clk_i) begin
    past_ok_q   <= 1'b1;
    past_stop_q <= stop_i;
    if (!past_ok_q) assume (!rst_ni);
    if (past_ok_q) assume (rst_ni);
    for (int i = 0; i < 3; i++) begin
      assume (beats_i[8*i +: 8] != '0 && beats_i[8*i +: 8] <= 8'(MaxBeats));
    end
    if (past_stop_q) assume (stop_i);  // until reset
    // A waiting client keeps its request
    if (past_ok_q && $past(rst_ni)) begin
      for (int i = 0; i < 3; i++) begin
        if ($past(valid_i[i] && !ready[i]))
          assume (valid_i[i] && beats_i[8*i +: 8] == $past(beats_i[8*i +: 8]) && addr[64*i +: 64] == $past(addr[64*i +: 64]));
      end
    end
    if (owed_q == '0) assume (!rvalid_i);
    if (!rst_ni) begin
      asked_q  <= '0;
      owed_q   <= '0;
      sent_q   <= '0;
      passed_q <= '0;
      wait_q   <= '0;
    end else begin
      asked_q  <= asked_q + beats - (arvalid && arready_i ? arlen + 8'd1 : 8'd0);
      owed_q   <= owed_q + (arvalid && arready_i ? arlen + 8'd1 : 8'd0) - 8'(beat);
      sent_q   <= sent_q + 8'(beat);
      passed_q <= passed_q + 8'(rsp != '0);
      if (!valid_i[2] || take[2]) wait_q <= '0;
      else if (take != '0) wait_q <= wait_q + 2'd1;
    end
    if (past_ok_q && $past(rst_ni)) begin
      if ($past(arvalid && !arready_i)) assert (arvalid && araddr == $past(araddr) && arlen == $past(arlen));
      if (arvalid) begin
        assert (13'(araddr[11:0]) + 13'(arlen) * 13'd64 + 13'd64 <= 13'd4096);
        assert (8'(arlen) + 8'd1 <= asked_q);   // not more beats than were asked for
        assert (araddr[5:0] == '0);
      end
      assert ((take & (take - 3'd1)) == '0 && (rsp & (rsp - 3'd1)) == '0);
      assert (passed_q + 8'(rsp != '0) == sent_q);  // every beat reaches a client, the cycle after
      assert (wait_q <= 2'd2);
      if (rready) assert (owed_q != '0 || arvalid);  // it waits for no beat that nobody owes
      if (idle && !stop_i) assert (asked_q == '0 && owed_q == '0);
      if (idle) assert (owed_q == '0 && !arvalid);
    end
    cover (past_ok_q && rst_ni && arvalid && $past(arvalid && arready_i) && araddr[12] != $past(araddr[12]));
    cover (past_ok_q && rst_ni && rsp[2] && last && $past(rsp[0]));
    cover (past_ok_q && rst_ni && stop_i && idle && asked_q != '0);
  end
endmodule
