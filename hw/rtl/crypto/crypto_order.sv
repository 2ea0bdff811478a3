// Slots of a lane: free ones, wiping, and the order in which finished packets are handed out.
// Packets with the same order key form a chain: the table holds the last packet opened with a key, each slot its
// successor. A finished packet goes to the done queue when its predecessor is in it, so a chain of finished packets
// moves on every 6 cycles. One event takes two cycles. Queued goes first, so that it is over before the slot can be
// opened again; openings wait in a queue, and none is left there when a finished packet, which may be one of them, is
// looked at.
// After a reset all slots are wiped and the table is emptied, one entry a cycle; nothing is allotted before.
module crypto_order #(
  parameter int JumboSlots = 64,
  parameter int SmallSlots = 192,
  localparam int SlotBits  = $clog2(JumboSlots + SmallSlots)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  // Allotment; see crypto_lane.
  input  logic                alloc_jumbo_i,
  output logic                alloc_ok_o,
  output logic [SlotBits-1:0] alloc_slot_o,
  input  logic                alloc_take_i,
  input  logic                free_valid_i,
  input  logic [SlotBits-1:0] free_slot_i,
  output logic                wipe_o,         // forget this slot's secrets; never in a cycle of open_i
  output logic [SlotBits-1:0] wipe_slot_o,
  output logic                busy_o,
  // Opened, not two cycles in a row.
  input  logic                open_i,
  input  logic [SlotBits-1:0] open_slot_i,
  input  logic                open_done_i,    // finished already
  input  logic                open_ordered_i,
  input  logic [8:0]          open_order_i,
  // Finished; two sources.
  input  logic                fin0_i,
  input  logic [SlotBits-1:0] fin0_slot_i,
  input  logic                fin1_i,
  input  logic [SlotBits-1:0] fin1_slot_i,
  // Done queue.
  output logic                done_valid_o,
  input  logic                done_pop_i,
  output logic [SlotBits-1:0] done_slot_o
);
  localparam int Slots = 1 << SlotBits;
  localparam int Keys  = 512;
  localparam int Total = JumboSlots + SmallSlots;

  // ---- Sweep after reset ---------------------------------------------------------------------------------------------
  logic       sweep_q;
  logic [8:0] sweep_at_q;
  logic       sweep_slot;   // the sweep is at a slot
  assign sweep_slot = sweep_q && 10'(sweep_at_q) < 10'(Total);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sweep_q    <= 1'b1;
      sweep_at_q <= '0;
    end else if (sweep_q) begin
      sweep_q    <= sweep_at_q != 9'(Keys - 1);
      sweep_at_q <= sweep_at_q + 9'd1;
    end
  end

  // ---- Wipe, then free ------------------------------------------------------------------------------------------------
  logic                freed_valid, freed_pop, wiped, jumbo_valid, jumbo_pop, small_valid, small_pop, stick_q;
  logic [SlotBits-1:0] freed_slot, jumbo_slot, small_slot;
  slot_queue #(.Width(SlotBits), .Depth(Slots)) u_freed (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(free_valid_i), .data_i(free_slot_i),
    .valid_o(freed_valid), .pop_i(freed_pop), .data_o(freed_slot)
  );
  assign freed_pop   = freed_valid && !open_i && !sweep_q;
  assign wiped       = freed_pop || sweep_slot;
  assign wipe_o      = wiped;
  assign wipe_slot_o = sweep_q ? sweep_at_q[SlotBits-1:0] : freed_slot;
  slot_queue #(.Width(SlotBits), .Depth(Slots)) u_jumbo (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(wiped && 32'(wipe_slot_o) < JumboSlots), .data_i(wipe_slot_o),
    .valid_o(jumbo_valid), .pop_i(jumbo_pop), .data_o(jumbo_slot)
  );
  slot_queue #(.Width(SlotBits), .Depth(Slots)) u_small (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(wiped && 32'(wipe_slot_o) >= JumboSlots), .data_i(wipe_slot_o),
    .valid_o(small_valid), .pop_i(small_pop), .data_o(small_slot)
  );
  // stick_q: a jumbo slot was shown for a small packet; it stays even if a small one gets free.
  logic use_small;
  assign use_small    = !alloc_jumbo_i && small_valid && !stick_q;
  assign alloc_ok_o   = !sweep_q && (use_small || jumbo_valid);
  assign alloc_slot_o = use_small ? small_slot : jumbo_slot;
  assign small_pop    = alloc_take_i && use_small;
  assign jumbo_pop    = alloc_take_i && !use_small;
  always_ff @(posedge clk_i) stick_q <= rst_ni && alloc_ok_o && !alloc_jumbo_i && !use_small && !alloc_take_i;

  logic [SlotBits:0] used_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) used_q <= '0;
    else used_q <= used_q + (SlotBits+1)'(alloc_take_i) - (SlotBits+1)'(freed_pop);
  end
  assign busy_o = sweep_q || used_q != '0;

  // ---- Events ------------------------------------------------------------------------------------------------------------
  logic                open_valid, open_done, open_ordered, out_valid, fin0_valid, fin1_valid;
  logic [SlotBits-1:0] open_slot, out_slot, fin0_slot, fin1_slot, wait_slot;
  logic [8:0]          open_order;
  logic                act_q, pick_open, pick_out, pick_fin0, pick_fin1, go;
  slot_queue #(.Width(SlotBits + 11), .Depth(Slots)) u_open (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(open_i), .data_i({open_slot_i, open_done_i, open_ordered_i, open_order_i}),
    .valid_o(open_valid), .pop_i(pick_open), .data_o({open_slot, open_done, open_ordered, open_order})
  );
  // Packets that went to the done queue: their successors may follow.
  slot_queue #(.Width(SlotBits), .Depth(Slots)) u_out (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(go), .data_i(wait_slot),
    .valid_o(out_valid), .pop_i(pick_out), .data_o(out_slot)
  );
  slot_queue #(.Width(SlotBits), .Depth(Slots)) u_fin0 (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(fin0_i), .data_i(fin0_slot_i),
    .valid_o(fin0_valid), .pop_i(pick_fin0), .data_o(fin0_slot)
  );
  slot_queue #(.Width(SlotBits), .Depth(Slots)) u_fin1 (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(fin1_i), .data_i(fin1_slot_i),
    .valid_o(fin1_valid), .pop_i(pick_fin1), .data_o(fin1_slot)
  );
  assign pick_out  = !act_q && out_valid;
  assign pick_open = !act_q && !out_valid && open_valid;
  assign pick_fin0 = !act_q && !out_valid && !open_valid && fin0_valid;
  assign pick_fin1 = !act_q && !out_valid && !open_valid && !fin0_valid && fin1_valid;
  always_ff @(posedge clk_i) act_q <= rst_ni && (pick_open || pick_out || pick_fin0 || pick_fin1);

  logic                is_open_q, is_out_q, ev_done_q, ev_ordered_q;
  logic [SlotBits-1:0] ev_slot_q;
  logic [8:0]          ev_order_q;
  always_ff @(posedge clk_i) begin
    if (!act_q) begin
      is_open_q    <= pick_open;
      is_out_q     <= pick_out;
      ev_slot_q    <= pick_out ? out_slot : pick_open ? open_slot : pick_fin0 ? fin0_slot : fin1_slot;
      ev_done_q    <= open_done;
      ev_ordered_q <= open_ordered;
      ev_order_q   <= open_order;
    end
  end

  // Read as the event is picked: last packet of the key; successor of the slot, its key.
  logic                act_open, act_out, act_fin, last_valid, linked, has_next, was_ordered;
  logic [SlotBits-1:0] last_slot, next_slot;
  logic [8:0]          was_order;
  assign act_open = act_q && is_open_q;
  assign act_out  = act_q && is_out_q;
  assign act_fin  = act_q && !is_open_q && !is_out_q;
  assign linked   = ev_ordered_q && last_valid;

  logic       close_key;   // the last packet of its key is gone
  assign close_key = act_out && !has_next && was_ordered;
  slot_ram #(.Width(SlotBits + 1), .Depth(Keys)) u_last (
    .clk_i(clk_i),
    .wr_en_i(sweep_q || (act_open && ev_ordered_q) || close_key),
    .wr_addr_i(sweep_q ? sweep_at_q : is_open_q ? ev_order_q : was_order),
    .wr_data_i({!sweep_q && is_open_q, ev_slot_q}),
    .rd_en_i(pick_open), .rd_addr_i(open_order), .rd_data_o({last_valid, last_slot})
  );
  slot_ram #(.Width(SlotBits + 1), .Depth(Slots)) u_next (
    .clk_i(clk_i),
    .wr_en_i(sweep_slot || (act_open && linked) || act_out),
    .wr_addr_i(sweep_q ? sweep_at_q[SlotBits-1:0] : is_open_q ? last_slot : ev_slot_q),
    .wr_data_i({!sweep_q && is_open_q, ev_slot_q}),
    .rd_en_i(pick_out), .rd_addr_i(out_slot), .rd_data_o({has_next, next_slot})
  );
  slot_ram #(.Width(10), .Depth(Slots)) u_key (
    .clk_i(clk_i),
    .wr_en_i(act_open), .wr_addr_i(ev_slot_q), .wr_data_i({ev_ordered_q, ev_order_q}),
    .rd_en_i(pick_out), .rd_addr_i(out_slot), .rd_data_o({was_ordered, was_order})
  );

  // Of a slot: waits for its predecessor; finished.
  logic [1:0]          wait_mem [0:Slots-1];
  logic                waits, finished;
  assign wait_slot = is_out_q ? next_slot : ev_slot_q;
  assign {waits, finished} = wait_mem[wait_slot];
  always_ff @(posedge clk_i)
    if (act_q)
      wait_mem[wait_slot] <= {is_open_q ? linked : waits && !(is_out_q && has_next),
                              is_open_q ? ev_done_q : finished || act_fin};
  assign go = (act_open && ev_done_q && !linked) || (act_fin && !waits) || (act_out && has_next && finished);
  slot_queue #(.Width(SlotBits), .Depth(Slots)) u_done (
    .clk_i(clk_i), .rst_ni(rst_ni), .push_i(go), .data_i(wait_slot),
    .valid_o(done_valid_o), .pop_i(done_pop_i), .data_o(done_slot_o)
  );
endmodule
