// XRT RTL kernel `vadd`: c[i] = a[i] + b[i] for n words of 32 bits, modulo 2^32. ap_ctrl_hs, registers as XRT lays them out:
// 0x00 control, 0x04/0x08/0x0c interrupt enables and status, 0x10 a, 0x1c b, 0x28 c (64 bits each), 0x34 n.
// a and c are read and written on ports of 32 bits, b on one of 64: two words a beat. In blocks of up to 64 words, one burst
// a port; a, b and c must be aligned to 256 bytes, so that none crosses 4 KiB. A word a cycle where memory keeps up.
// Not done: auto-restart; AXI error responses.
module vadd (
  input  logic        ap_clk,
  input  logic        ap_rst_n,  // synchronous
  // verilator lint_off SYMRSVDWORD
  output logic        interrupt,
  // verilator lint_on SYMRSVDWORD
  input  logic        s_axi_control_awvalid,
  output logic        s_axi_control_awready,
  input  logic [5:0]  s_axi_control_awaddr,
  input  logic        s_axi_control_wvalid,
  output logic        s_axi_control_wready,
  input  logic [31:0] s_axi_control_wdata,
  input  logic [3:0]  s_axi_control_wstrb,
  output logic        s_axi_control_bvalid,
  input  logic        s_axi_control_bready,
  output logic [1:0]  s_axi_control_bresp,
  input  logic        s_axi_control_arvalid,
  output logic        s_axi_control_arready,
  input  logic [5:0]  s_axi_control_araddr,
  output logic        s_axi_control_rvalid,
  input  logic        s_axi_control_rready,
  output logic [31:0] s_axi_control_rdata,
  output logic [1:0]  s_axi_control_rresp,
  output logic        m_axi_a_arvalid,
  input  logic        m_axi_a_arready,
  output logic [63:0] m_axi_a_araddr,
  output logic [7:0]  m_axi_a_arlen,
  input  logic        m_axi_a_rvalid,
  output logic        m_axi_a_rready,
  input  logic [31:0] m_axi_a_rdata,
  input  logic        m_axi_a_rlast,
  output logic        m_axi_b_arvalid,
  input  logic        m_axi_b_arready,
  output logic [63:0] m_axi_b_araddr,
  output logic [7:0]  m_axi_b_arlen,
  output logic [0:0]  m_axi_b_arid,
  input  logic        m_axi_b_rvalid,
  output logic        m_axi_b_rready,
  input  logic [63:0] m_axi_b_rdata,
  input  logic        m_axi_b_rlast,
  input  logic [0:0]  m_axi_b_rid,
  output logic        m_axi_c_awvalid,
  input  logic        m_axi_c_awready,
  output logic [63:0] m_axi_c_awaddr,
  output logic [7:0]  m_axi_c_awlen,
  output logic        m_axi_c_wvalid,
  input  logic        m_axi_c_wready,
  output logic [31:0] m_axi_c_wdata,
  output logic [3:0]  m_axi_c_wstrb,
  output logic        m_axi_c_wlast,
  input  logic        m_axi_c_bvalid,
  output logic        m_axi_c_bready
);
  localparam int BlockWords = 64;
  typedef enum logic [1:0] {StIdle, StAddress, StData, StResponse} state_e;
  state_e state_q;

  // ---- Control registers
  logic        start_q, done_q, gie_q;
  logic [1:0]  ier_q, isr_q;  // bit 0: done, bit 1: ready
  logic [63:0] a_q, b_q, c_q;
  logic [31:0] n_q;
  logic        write, read, finish;
  assign write = s_axi_control_awvalid && s_axi_control_wvalid && !s_axi_control_bvalid;
  assign read  = s_axi_control_arvalid && s_axi_control_arready;
  assign s_axi_control_awready = write;
  assign s_axi_control_wready  = write;
  assign s_axi_control_arready = !s_axi_control_rvalid;
  assign s_axi_control_bresp   = 2'b00;
  assign s_axi_control_rresp   = 2'b00;
  assign interrupt             = gie_q && (ier_q & isr_q) != 2'b00;

  always_ff @(posedge ap_clk) begin
    if (s_axi_control_bready) s_axi_control_bvalid <= 1'b0;
    if (s_axi_control_rready) s_axi_control_rvalid <= 1'b0;
    if (finish) begin
      start_q <= 1'b0;
      done_q  <= 1'b1;
      isr_q   <= isr_q | ier_q;
    end
    if (read) begin
      s_axi_control_rvalid <= 1'b1;
      case (s_axi_control_araddr)
        // start, done (cleared by this read), idle, ready
        6'h00:   s_axi_control_rdata <= {28'd0, done_q, !start_q, done_q, start_q};
        6'h04:   s_axi_control_rdata <= {31'd0, gie_q};
        6'h08:   s_axi_control_rdata <= {30'd0, ier_q};
        6'h0c:   s_axi_control_rdata <= {30'd0, isr_q};
        6'h10:   s_axi_control_rdata <= a_q[31:0];
        6'h14:   s_axi_control_rdata <= a_q[63:32];
        6'h1c:   s_axi_control_rdata <= b_q[31:0];
        6'h20:   s_axi_control_rdata <= b_q[63:32];
        6'h28:   s_axi_control_rdata <= c_q[31:0];
        6'h2c:   s_axi_control_rdata <= c_q[63:32];
        6'h34:   s_axi_control_rdata <= n_q;
        default: s_axi_control_rdata <= 32'd0;
      endcase
      if (s_axi_control_araddr == 6'h00 && !finish) done_q <= 1'b0;
    end
    if (write) begin
      s_axi_control_bvalid <= 1'b1;
      case (s_axi_control_awaddr)
        6'h00:   if (s_axi_control_wdata[0]) start_q <= 1'b1;
        6'h04:   gie_q        <= s_axi_control_wdata[0];
        6'h08:   ier_q        <= s_axi_control_wdata[1:0];
        6'h0c:   isr_q        <= isr_q ^ s_axi_control_wdata[1:0];  // toggle on write, as XRT's kernels have it
        6'h10:   a_q[31:0]    <= s_axi_control_wdata;
        6'h14:   a_q[63:32]   <= s_axi_control_wdata;
        6'h1c:   b_q[31:0]    <= s_axi_control_wdata;
        6'h20:   b_q[63:32]   <= s_axi_control_wdata;
        6'h28:   c_q[31:0]    <= s_axi_control_wdata;
        6'h2c:   c_q[63:32]   <= s_axi_control_wdata;
        6'h34:   n_q          <= s_axi_control_wdata;
        default: ;
      endcase
    end
    if (!ap_rst_n) begin
      s_axi_control_bvalid <= 1'b0;
      s_axi_control_rvalid <= 1'b0;
      start_q <= 1'b0;
      done_q  <= 1'b0;
      gie_q   <= 1'b0;
      ier_q   <= 2'b00;
      isr_q   <= 2'b00;
    end
  end

  // ---- Blocks: three addresses, then a word a cycle, then the response of the write
  logic [31:0] at_q;               // words done before this block
  logic [31:0] left;               // words from this block on
  logic [6:0]  words;              // of this block
  logic [6:0]  word_q;             // of this block, done
  logic        a_sent_q, b_sent_q, c_sent_q;
  logic        step, last_word, addresses_sent;
  assign left           = n_q - at_q;
  assign words          = left > 32'(BlockWords) ? 7'(BlockWords) : left[6:0];
  assign last_word      = word_q + 7'd1 == words;
  assign addresses_sent = (a_sent_q || m_axi_a_arready) && (b_sent_q || m_axi_b_arready) && (c_sent_q || m_axi_c_awready);
  assign finish         = (state_q == StResponse && m_axi_c_bvalid && left == {25'd0, words}) || (state_q == StAddress && left == 32'd0);

  always_ff @(posedge ap_clk) begin
    case (state_q)
      StIdle: begin
        at_q     <= 32'd0;
        word_q   <= 7'd0;
        a_sent_q <= 1'b0;
        b_sent_q <= 1'b0;
        c_sent_q <= 1'b0;
        if (start_q) state_q <= StAddress;
      end
      StAddress: begin
        a_sent_q <= a_sent_q || m_axi_a_arready;
        b_sent_q <= b_sent_q || m_axi_b_arready;
        c_sent_q <= c_sent_q || m_axi_c_awready;
        if (left == 32'd0) state_q <= StIdle;
        else if (addresses_sent) state_q <= StData;
      end
      StData: if (step) begin
        word_q <= word_q + 7'd1;
        if (last_word) state_q <= StResponse;
      end
      default: if (m_axi_c_bvalid) begin
        at_q     <= at_q + {25'd0, words};
        word_q   <= 7'd0;
        a_sent_q <= 1'b0;
        b_sent_q <= 1'b0;
        c_sent_q <= 1'b0;
        state_q  <= finish ? StIdle : StAddress;
      end
    endcase
    if (!ap_rst_n) state_q <= StIdle;
  end

  logic [63:0] offset;  // bytes of this block from the start of each array
  assign offset = {30'd0, at_q, 2'b00};
  assign m_axi_a_arvalid = state_q == StAddress && !a_sent_q && left != 32'd0;
  assign m_axi_a_araddr  = a_q + offset;
  assign m_axi_a_arlen   = {1'b0, words} - 8'd1;
  assign m_axi_b_arvalid = state_q == StAddress && !b_sent_q && left != 32'd0;
  assign m_axi_b_araddr  = b_q + offset;
  assign m_axi_b_arlen   = (({1'b0, words} + 8'd1) >> 1) - 8'd1;
  assign m_axi_b_arid    = 1'b1;
  assign m_axi_c_awvalid = state_q == StAddress && !c_sent_q && left != 32'd0;
  assign m_axi_c_awaddr  = c_q + offset;
  assign m_axi_c_awlen   = {1'b0, words} - 8'd1;
  assign m_axi_c_wvalid  = state_q == StData && m_axi_a_rvalid && m_axi_b_rvalid;
  assign m_axi_c_wdata   = m_axi_a_rdata + (word_q[0] ? m_axi_b_rdata[63:32] : m_axi_b_rdata[31:0]);
  assign m_axi_c_wstrb   = 4'hf;
  assign m_axi_c_wlast   = last_word;
  assign m_axi_c_bready  = state_q == StResponse;
  assign step            = m_axi_c_wvalid && m_axi_c_wready;
  assign m_axi_a_rready  = step;
  assign m_axi_b_rready  = step && (word_q[0] || last_word);

  logic unused;
  assign unused = &{1'b0, s_axi_control_wstrb, m_axi_a_rlast, m_axi_b_rlast, m_axi_b_rid};
endmodule
