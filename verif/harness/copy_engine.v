// Copies bursts in memory: the ports of an accelerator core, small, and able to break every rule of AXI that
// the model around it checks. Registers, by word: 0 source, 1 target (bytes), 2 words of a burst, 3 bursts,
// 4 which rule to break (it survives reset), 5 go (written), or {read worst, write worst, copied} (read; that
// clears irq). Reads run ahead of writes, up to 1024 words.
module NAME #(parameter DATA_BITS = 64) (
  input clk, input rst, output reg irq,
  input [9:0] s_axil_awaddr, input [2:0] s_axil_awprot, input s_axil_awvalid, output s_axil_awready,
  input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
  output reg [1:0] s_axil_bresp, output s_axil_bvalid, input s_axil_bready,
  input [9:0] s_axil_araddr, input [2:0] s_axil_arprot, input s_axil_arvalid, output s_axil_arready,
  output reg [31:0] s_axil_rdata, output reg [1:0] s_axil_rresp, output s_axil_rvalid, input s_axil_rready,
  output [0:0] m_axi_awid, output [39:0] m_axi_awaddr, output [7:0] m_axi_awlen, output [2:0] m_axi_awsize,
  output [1:0] m_axi_awburst, output m_axi_awlock, output [3:0] m_axi_awcache, output [2:0] m_axi_awprot,
  output m_axi_awvalid, input m_axi_awready,
  output [DATA_BITS-1:0] m_axi_wdata, output [DATA_BITS/8-1:0] m_axi_wstrb, output m_axi_wlast,
  output m_axi_wvalid, input m_axi_wready,
  input [0:0] m_axi_bid, input [1:0] m_axi_bresp, input m_axi_bvalid, output m_axi_bready,
  output [0:0] m_axi_arid, output [39:0] m_axi_araddr, output [7:0] m_axi_arlen, output [2:0] m_axi_arsize,
  output [1:0] m_axi_arburst, output m_axi_arlock, output [3:0] m_axi_arcache, output [2:0] m_axi_arprot,
  output m_axi_arvalid, input m_axi_arready,
  input [0:0] m_axi_rid, input [DATA_BITS-1:0] m_axi_rdata, input [1:0] m_axi_rresp, input m_axi_rlast,
  input m_axi_rvalid, output m_axi_rready
);
  localparam SIZE = $clog2(DATA_BITS / 8);
  localparam NONE = 0, AR_FALLS = 1, AR_CHANGES = 2, AW_FALLS = 3, W_CHANGES = 4, LAST_EARLY = 5, LAST_LATE = 6,
             AR_SIZE = 7, AW_FIXED = 8, IN_RESET = 9, UNASKED = 10, B_FALLS = 11, R_CHANGES = 12, SILENT = 13, STOPS = 14;
  reg [31:0] source, target, words, bursts, rule;
  initial rule = NONE;

  // Registers
  reg aw_held, w_held, b_held, r_held, b_shown;
  reg [9:0] aw_addr;
  reg [31:0] w_data;
  reg go, show;
  assign s_axil_awready = !aw_held;
  assign s_axil_wready = !w_held;
  assign s_axil_bvalid = (b_held && !(rule == B_FALLS && b_shown)) || rule == UNASKED;
  assign s_axil_arready = !r_held;
  assign s_axil_rvalid = r_held && rule != SILENT;
  always @(posedge clk) begin
    go <= 0;
    show <= 0;
    b_shown <= b_held;
    if (s_axil_awvalid && s_axil_awready) begin aw_held <= 1; aw_addr <= s_axil_awaddr; end
    if (s_axil_wvalid && s_axil_wready) begin w_held <= 1; w_data <= s_axil_wdata; end
    if (aw_held && w_held && !b_held) begin
      b_held <= 1;
      s_axil_bresp <= aw_addr[9:2] < 6 ? 0 : aw_addr[9:2] == 6 ? 3 : 2;
      case (aw_addr[9:2])
        0: source <= w_data;
        1: target <= w_data;
        2: words <= w_data;
        3: bursts <= w_data;
        4: rule <= w_data;
        5: go <= 1;
      endcase
    end
    if (s_axil_bvalid && s_axil_bready) begin b_held <= 0; aw_held <= 0; w_held <= 0; end
    if (s_axil_arvalid && s_axil_arready) begin
      r_held <= 1;
      s_axil_rresp <= s_axil_araddr[9:2] < 6 ? 0 : s_axil_araddr[9:2] == 6 ? 3 : 2;
      case (s_axil_araddr[9:2])
        0: s_axil_rdata <= source;
        1: s_axil_rdata <= target;
        2: s_axil_rdata <= words;
        3: s_axil_rdata <= bursts;
        4: s_axil_rdata <= rule;
        5: s_axil_rdata <= {read_worst, write_worst, copied[27:0]};
        default: s_axil_rdata <= 0;
      endcase
      show <= s_axil_araddr[9:2] == 5;
    end
    if (rule == STOPS && go) $stop;
    if (rule == R_CHANGES) s_axil_rdata <= s_axil_rdata + 1;
    if (s_axil_rvalid && s_axil_rready) r_held <= 0;
    if (rst) begin aw_held <= 0; w_held <= 0; b_held <= 0; r_held <= 0; end
  end

  // Reads
  reg [DATA_BITS-1:0] buffer [0:1023];
  reg [31:0] asked, filled, ar_wait;
  reg [1:0] read_worst;
  wire ar_offers = asked < bursts;
  assign m_axi_arvalid = (ar_offers && !(rule == AR_FALLS && ar_wait == 1)) || (rule == IN_RESET && rst);
  assign m_axi_araddr = source + asked * words * (DATA_BITS / 8) + (rule == AR_CHANGES && ar_wait == 1 ? 8 : 0);
  assign m_axi_arlen = words - 1;
  assign m_axi_arsize = rule == AR_SIZE ? 0 : SIZE;
  assign {m_axi_arid, m_axi_arburst, m_axi_arlock, m_axi_arcache, m_axi_arprot} = {1'b0, 2'd1, 1'b0, 4'd3, 3'd0};
  assign m_axi_rready = running;
  always @(posedge clk) begin
    ar_wait <= ar_offers && !m_axi_arready ? ar_wait + 1 : 0;
    if (m_axi_arvalid && m_axi_arready) asked <= asked + 1;
    if (m_axi_rvalid && m_axi_rready) begin
      buffer[filled[9:0]] <= m_axi_rdata;
      filled <= filled + 1;
      if (m_axi_rresp > read_worst) read_worst <= m_axi_rresp;
    end
    if (go) begin asked <= 0; filled <= 0; read_worst <= 0; end
    if (rst) asked <= ~0;
  end

  // Writes
  reg running;
  reg [31:0] offered, sent, answered, word, aw_wait, w_wait;
  reg [1:0] write_worst;
  wire [31:0] copied = answered;
  wire w_offers = running && sent < filled;
  wire last = word == words - 1;
  assign m_axi_awvalid = running && offered < bursts && offered * words < filled && !(rule == AW_FALLS && aw_wait == 1);
  assign m_axi_awaddr = target + offered * words * (DATA_BITS / 8);
  assign m_axi_awlen = words - 1;
  assign m_axi_awsize = SIZE;
  assign {m_axi_awid, m_axi_awburst, m_axi_awlock, m_axi_awcache, m_axi_awprot} =
    {1'b0, rule == AW_FIXED ? 2'd0 : 2'd1, 1'b0, 4'd3, 3'd0};
  assign m_axi_wvalid = w_offers;
  assign m_axi_wdata = buffer[sent[9:0]] ^ (rule == W_CHANGES && w_wait == 1);
  assign m_axi_wstrb = rule >> 8 ? ~0 << rule[15:8] : ~0;
  assign m_axi_wlast = rule == LAST_EARLY ? word == words - 2 : rule == LAST_LATE ? 0 : last;
  assign m_axi_bready = running;
  always @(posedge clk) begin
    aw_wait <= m_axi_awvalid && !m_axi_awready ? aw_wait + 1 : 0;
    w_wait <= m_axi_wvalid && !m_axi_wready ? w_wait + 1 : 0;
    if (m_axi_awvalid && m_axi_awready) offered <= offered + 1;
    if (m_axi_wvalid && m_axi_wready) begin sent <= sent + 1; word <= last ? 0 : word + 1; end
    if (m_axi_bvalid && m_axi_bready) begin
      answered <= answered + 1;
      if (m_axi_bresp > write_worst) write_worst <= m_axi_bresp;
      if (answered == bursts - 1) begin irq <= 1; running <= 0; end
    end
    if (show) irq <= 0;
    if (go) begin
      running <= 1; offered <= 0; sent <= 0; answered <= 0; word <= 0; write_worst <= 0;
    end
    if (rst) begin running <= 0; irq <= 0; offered <= 0; sent <= 0; end
  end
endmodule
