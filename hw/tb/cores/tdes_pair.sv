// Two tdes_pipe of both kinds, fed alike, to compare them in every cycle; for the bench only.
module tdes_pair #(
  parameter int Slots     = 256,
  localparam int SlotBits = $clog2(Slots)
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                key_we_i,
  input  logic [SlotBits-1:0] key_slot_i,
  input  logic                key_decrypt_i,
  input  logic                key_wipe_i,
  input  logic [191:0]        key_i,
  input  logic                valid_i,
  input  logic [SlotBits-1:0] slot_i,
  input  logic [63:0]         data_i,
  output logic                by_slot_valid_o,
  output logic [63:0]         by_slot_data_o,
  output logic                carried_valid_o,
  output logic [63:0]         carried_data_o
);
  tdes_pipe #(.Slots(Slots), .KeyCarry(0)) u_by_slot (
    .clk_i(clk_i), .rst_ni(rst_ni), .key_we_i(key_we_i), .key_slot_i(key_slot_i), .key_decrypt_i(key_decrypt_i),
    .key_wipe_i(key_wipe_i), .key_i(key_i), .valid_i(valid_i), .slot_i(slot_i), .data_i(data_i),
    .valid_o(by_slot_valid_o), .data_o(by_slot_data_o)
  );
  tdes_pipe #(.Slots(Slots), .KeyCarry(1)) u_carried (
    .clk_i(clk_i), .rst_ni(rst_ni), .key_we_i(key_we_i), .key_slot_i(key_slot_i), .key_decrypt_i(key_decrypt_i),
    .key_wipe_i(key_wipe_i), .key_i(key_i), .valid_i(valid_i), .slot_i(slot_i), .data_i(data_i),
    .valid_o(carried_valid_o), .data_o(carried_data_o)
  );
endmodule
