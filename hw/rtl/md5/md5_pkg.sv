// The numbers of MD5 (RFC 1321 s3.4). Step t runs from 0 to 63; round t / 16 chooses function and rotations.
package md5_pkg;
  // Constant of a step: floor(2^32 * |sin(t + 1)|).
  function automatic logic [31:0] k(input logic [5:0] step);
    case (step)
      6'd0: k = 32'hd76aa478; 6'd1: k = 32'he8c7b756; 6'd2: k = 32'h242070db; 6'd3: k = 32'hc1bdceee;
      6'd4: k = 32'hf57c0faf; 6'd5: k = 32'h4787c62a; 6'd6: k = 32'ha8304613; 6'd7: k = 32'hfd469501;
      6'd8: k = 32'h698098d8; 6'd9: k = 32'h8b44f7af; 6'd10: k = 32'hffff5bb1; 6'd11: k = 32'h895cd7be;
      6'd12: k = 32'h6b901122; 6'd13: k = 32'hfd987193; 6'd14: k = 32'ha679438e; 6'd15: k = 32'h49b40821;
      6'd16: k = 32'hf61e2562; 6'd17: k = 32'hc040b340; 6'd18: k = 32'h265e5a51; 6'd19: k = 32'he9b6c7aa;
      6'd20: k = 32'hd62f105d; 6'd21: k = 32'h02441453; 6'd22: k = 32'hd8a1e681; 6'd23: k = 32'he7d3fbc8;
      6'd24: k = 32'h21e1cde6; 6'd25: k = 32'hc33707d6; 6'd26: k = 32'hf4d50d87; 6'd27: k = 32'h455a14ed;
      6'd28: k = 32'ha9e3e905; 6'd29: k = 32'hfcefa3f8; 6'd30: k = 32'h676f02d9; 6'd31: k = 32'h8d2a4c8a;
      6'd32: k = 32'hfffa3942; 6'd33: k = 32'h8771f681; 6'd34: k = 32'h6d9d6122; 6'd35: k = 32'hfde5380c;
      6'd36: k = 32'ha4beea44; 6'd37: k = 32'h4bdecfa9; 6'd38: k = 32'hf6bb4b60; 6'd39: k = 32'hbebfbc70;
      6'd40: k = 32'h289b7ec6; 6'd41: k = 32'heaa127fa; 6'd42: k = 32'hd4ef3085; 6'd43: k = 32'h04881d05;
      6'd44: k = 32'hd9d4d039; 6'd45: k = 32'he6db99e5; 6'd46: k = 32'h1fa27cf8; 6'd47: k = 32'hc4ac5665;
      6'd48: k = 32'hf4292244; 6'd49: k = 32'h432aff97; 6'd50: k = 32'hab9423a7; 6'd51: k = 32'hfc93a039;
      6'd52: k = 32'h655b59c3; 6'd53: k = 32'h8f0ccc92; 6'd54: k = 32'hffeff47d; 6'd55: k = 32'h85845dd1;
      6'd56: k = 32'h6fa87e4f; 6'd57: k = 32'hfe2ce6e0; 6'd58: k = 32'ha3014314; 6'd59: k = 32'h4e0811a1;
      6'd60: k = 32'hf7537e82; 6'd61: k = 32'hbd3af235; 6'd62: k = 32'h2ad7d2bb; default: k = 32'heb86d391;
    endcase
  endfunction

  // Word of the block that a step takes.
  function automatic logic [3:0] word(input logic [5:0] step);
    case (step[5:4])
      2'd0: word = step[3:0];
      2'd1: word = {step[1:0], 2'b00} + step[3:0] + 4'd1;   // 5t + 1
      2'd2: word = {step[2:0], 1'b0} + step[3:0] + 4'd5;    // 3t + 5
      default: word = {step[0], 3'b000} - step[3:0];        // 7t
    endcase
  endfunction

  // Left rotation of a step; four amounts a round, by the step's low bits.
  function automatic logic [31:0] rol(input logic [1:0] round, input logic [1:0] step,
                                      input logic [31:0] x);
    case ({round, step})
      4'd0:  rol = {x[24:0], x[31:25]};
      4'd1:  rol = {x[19:0], x[31:20]};
      4'd2:  rol = {x[14:0], x[31:15]};
      4'd3:  rol = {x[9:0], x[31:10]};
      4'd4:  rol = {x[26:0], x[31:27]};
      4'd5:  rol = {x[22:0], x[31:23]};
      4'd6:  rol = {x[17:0], x[31:18]};
      4'd7:  rol = {x[11:0], x[31:12]};
      4'd8:  rol = {x[27:0], x[31:28]};
      4'd9:  rol = {x[20:0], x[31:21]};
      4'd10: rol = {x[15:0], x[31:16]};
      4'd11: rol = {x[8:0], x[31:9]};
      4'd12: rol = {x[25:0], x[31:26]};
      4'd13: rol = {x[21:0], x[31:22]};
      4'd14: rol = {x[16:0], x[31:17]};
      default: rol = {x[10:0], x[31:11]};
    endcase
  endfunction

  // Functions F, G, H, I.
  function automatic logic [31:0] f(input logic [1:0] round, input logic [31:0] b, input logic [31:0] c,
                                    input logic [31:0] d);
    case (round)
      2'd0: f = (b & c) | (~b & d);
      2'd1: f = (d & b) | (~d & c);
      2'd2: f = b ^ c ^ d;
      default: f = c ^ (b | ~d);
    endcase
  endfunction

  // First octet on top to a number: MD5 counts octets from the lowest.
  function automatic logic [31:0] swap(input logic [31:0] x);
    swap = {x[7:0], x[15:8], x[23:16], x[31:24]};
  endfunction
endpackage
