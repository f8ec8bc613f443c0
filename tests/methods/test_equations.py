"""Each equation of a paper is found by a search for its symbol, with where it comes from."""

import re
from pathlib import Path

import pytest

import mvlib.methods

# A line such as: L_sdd = [J(I,T) + J(T,I)] (1/r_I + 1/r_T)  (Set-CLIP, as coded)
LINE = re.compile(r"^ +(?:# )?(\S.*?) (?:=|<-) \S.*  \(([^()]+)\)$", re.MULTILINE)
SYMBOLS = {
    "set_clip": {
        "Set-CLIP, as coded": {"L", "L_1", "L_sdd", "L_mmd", "L_clip", "K(x|D)"},
        "S-CLIP": {"L_pseudo"},
    },
    "ntk_spectral": {
        "NTK, paper": {"A_ij", "beta"},
        "NTK, as coded": {"s_i", "K(z_i, z_j)", "S", "A", "J(A, beta)", "beta_i"},
    },
    "features": {"TAC, as coded": {"n", "c_l"}},
    "tac": {"TAC, as coded": {"p_jl", "x_i^u", "L", "L_dis", "L_con", "H"}},
    "images/seic": {"SEIC, secondary": {"S", "x_i^t", "l(A, B)", "m_k", "L_bal", "h", "L"}},
    "images/sac": {"SAC, secondary": {"w_i", "L_c", "L_a", "L"}},
    "images/magic": {"MAGIC, secondary": {"x_i^c", "A_h", "L_a", "L"}},
    "images/protogcd": {
        "ProtoGCD, as coded": {"q_i", "r_i", "L_dis", "L_sep", "L_sup", "L"},
        "ProtoGCD, our reading": {"H_reg"},
    },
    "images/temi": {"TEMI, as coded": {"w(a, b)", "l_h(a, b)", "L_h", "pi"}},
    "images/turtle": {"TURTLE, as coded": {"q", "L_in", "L"}},
    "images/scan": {"SCAN, as coded": {"L", "H", "C"}},
    "images/cpp": {"CPP, as coded": {"Pi_ij", "R", "R_c", "L", "l"}},
    "images/pro_dsc": {"PRO-DSC, as coded": {"A", "L_e", "L_b", "L"}},
    "images/gradnorm": {"GradNorm, as coded": {"s_1"}},
    "sic": {"SIC, as coded": {"S", "h_k", "y_i", "L"}},
    "views/momentum_twins": {
        "DIVIDE, as coded": {"G_ij", "L(q, k, T)", "L", "lr", "theta_bar"}
    },
    "views/capimac": {
        "CAPIMAC, as coded": {"L", "D_ij", "P_ij", "h(t)", "L_ae"},
    },
    "views/wah": {
        "WAH, as coded": {"x", "HHSW", "Q_ik", "L_sem", "L_reg", "logit_k", "L"},
        "WAH, paper": {"exp_o(x)"},
    },
    "neighbours/sscc": {"SSCC, as coded": {"L_bt", "L", "L_nce", "lr"}},
    "neighbours/genksc": {
        "GenKSC, as coded": {"m", "J", "<c_k, c_l>", "L_c", "L_b", "L", "m_ik"}
    },
    "neighbours/magnetic": {
        "ours": {"P_ij"},
        "magnetic Laplacian, textbook": {"W", "Theta", "L"},
    },
    "views/divide": {"DIVIDE, as coded": {"T"}},
    "views/camera": {
        "CAMERA, as coded": {"L_com", "L_con", "L_ver", "L", "u", "pi", "A", "z", "u_v", "z_2"}
    },
    "views/completer": {
        "COMPLETER, as coded": {"P", "L_cl"},
        "DCP, as coded": {"beta_vu", "L_con", "L_rec", "L_pre", "L"},
    },
    "views/candy": {"CANDY, as coded": {"W_v", "W_vu", "T_vv", "A_vu", "T_vu"}},
    "views/corregen": {"CorreGen, as coded": {"l(q, k, Q)", "u_i", "Q_vv", "Q_vu", "w_i"}},
    "cae": {
        "CAE, secondary": {"S", "x_i^u", "p_i", "w_im"},
        "CAE, our reading": {"C_ij", "T", "f_i", "e"},
    },
}


@pytest.mark.parametrize("method", SYMBOLS)
def test_each_symbol_of_a_paper_is_defined_on_one_line_with_its_source(method):
    place = Path(mvlib.methods.__file__).parent / method
    files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    text = "\n".join(path.read_text() for path in files)
    found = LINE.findall(text)
    assert all("".join(pair).isascii() for pair in found)
    assert len({symbol for symbol, _ in found}) == len(found)
    by_source = {source: set() for _, source in found}
    for symbol, source in found:
        by_source[source].add(symbol)
    assert by_source == SYMBOLS[method]
